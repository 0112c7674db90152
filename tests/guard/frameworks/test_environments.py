"""The guard on the frameworks that the main environment does not have, in the one that planted programs run in."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

TESTS = ["test_classic.py", "test_ag2.py", "test_agent_framework.py"]


def environments() -> Any:
    """The planted programs' own module, which is no package's here."""
    spec = importlib.util.spec_from_file_location("planted_environments", ROOT / "tests/planted/environments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.environments
def test_the_guard_holds_with_the_other_frameworks() -> None:
    command = [
        str(environments().python_of("agents")),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=short",
    ]
    done = subprocess.run(
        [*command, *(str(HERE / name) for name in TESTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
