"""The interpreters that planted programs run on."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The main environment has agentchat 0.7, which classic AutoGen, AG2 and the Agent Framework are kept away from.
ENVIRONMENTS = {
    "agents": [
        "autogen==0.14.1",
        "ag2>=1,<2",
        "agent-framework-core",
        "agent-framework-openai",
        "fastapi",
        "flask[async]",
        "uvicorn",
        "gunicorn",
        "celery",
        "streamlit",
        "ipykernel",
        "nbclient",
        "nest-asyncio",
        "requests",
        "pytest>=8.3",
        "anyio",
    ],
}

ENVIRONMENT_OF = {"classic": "agents", "ag2": "agents", "agent_framework": "agents"}
"""Where the programs of a framework run; all others in the main environment."""


def python_for(framework: str) -> Path:
    """The interpreter for programs of a framework, built if it is not there yet."""
    name = ENVIRONMENT_OF.get(framework)
    return python_of(name) if name else Path(sys.executable)


def python_of(name: str) -> Path:
    """The interpreter of an environment, built below `.venvs/` if it is not there yet.

    Raises:
        RuntimeError: it cannot be built; says what the installer said.
    """
    wanted = ENVIRONMENTS[name]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    key = hashlib.sha256(repr([sys.version, own, wanted]).encode()).hexdigest()[:12]
    folder = ROOT / ".venvs" / f"{name}-{key}"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(
            lock, fcntl.LOCK_EX
        )  # two runs may want it at once; its scripts hold its path, so it is not renamed
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, wanted)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def _install(folder: Path, wanted: list[str]) -> None:
    python = str(folder / "bin" / "python")
    packages = ["--editable", str(ROOT), *wanted]
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", python, *packages])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
