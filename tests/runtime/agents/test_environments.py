"""The same tests with the oldest and the newest packages that the adapter accepts.

Each environment is built once below `.venvs/`, named after what is in it, and used again until that changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent


def autogen(version: str) -> list[str]:
    return [f"autogen-agentchat=={version}", f"autogen-core=={version}", f"autogen-ext[openai]=={version}"]


QUICK = ["test_single_agents.py", "test_clients.py", "test_tools.py"]
"""What depends most on the openai package."""

MORE = [*QUICK, "test_teams.py", "test_human_input.py", "test_stop.py"]
"""What depends most on AutoGen."""

# The main environment has the newest of everything: AutoGen 0.7.5 with openai 3.x and httpx2.
ENVIRONMENTS = {
    "oldest": ([*autogen("0.7.0"), "openai==1.93.0"], MORE),
    "openai-2": ([*autogen("0.7.5"), "openai>=2,<3"], QUICK),
}


def python_of(name: str) -> Path:
    """The interpreter of an environment, built if it is not there yet."""
    wanted = [*ENVIRONMENTS[name][0], "pytest>=8.3"]
    key = [sys.version, (ROOT / "pyproject.toml").read_text(), *wanted]
    folder = ROOT / ".venvs" / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}"
    if not folder.exists():
        # Two test runs may build at once: each builds its own, and the first to end wins.
        build = folder.with_name(f"{folder.name}.{os.getpid()}")
        install(build, wanted)
        try:
            build.rename(folder)
        except OSError:
            shutil.rmtree(build)
    return folder / "bin" / "python"


def install(folder: Path, wanted: list[str]) -> None:
    python = str(folder / "bin" / "python")
    packages = ["--editable", str(ROOT), *wanted]
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        run([uv, "pip", "install", "--quiet", "--python", python, *packages])
    else:
        run([sys.executable, "-m", "venv", str(folder)])
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])


def run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@pytest.mark.environments
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_adapter_holds_with(name: str) -> None:
    python = python_of(name)
    tests = [str(HERE / file) for file in ENVIRONMENTS[name][1]]
    command = [str(python), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
