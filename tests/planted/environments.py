"""The interpreters that planted programs run on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The main environment has agentchat 0.7. Classic AutoGen, AG2 and Microsoft's Agent Framework are no neighbours of it.
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
    key = [sys.version, (ROOT / "pyproject.toml").read_text(), *wanted]
    folder = ROOT / ".venvs" / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}"
    if not folder.exists():
        # Two runs may build at once: each builds its own, and the first to end wins.
        build = folder.with_name(f"{folder.name}.{os.getpid()}")
        _install(build, wanted)
        try:
            build.rename(folder)
        except OSError:
            shutil.rmtree(build)
    return folder / "bin" / "python"


def _install(folder: Path, wanted: list[str]) -> None:
    python = str(folder / "bin" / "python")
    packages = ["--editable", str(ROOT), *wanted]
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", python, *packages])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
