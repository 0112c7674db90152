"""Loops inside loops, where somebody has allowed them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from turnlane.guard.launch import environment
from turnlane.guard.settings import GuardSettings

from .conftest import Watched

HOST = """
import asyncio
import nest_asyncio
nest_asyncio.apply()

def serve(main):
    return asyncio.run(main())
"""
"""An installed package that applies it, as Chainlit's command does."""

HEAD = """
import asyncio
import time
import host

async def inner():
    await asyncio.sleep(0)
    return 1

"""


def run(tmp_path: Path, text: str) -> Watched:
    """A program of its own, watched: loops are changed for good."""
    seen = Watched(tmp_path / "records.jsonl")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "host.py").write_text(HOST)
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.path.append({str(installed)!r})\n" + HEAD + text)
    settings = GuardSettings(output=str(seen.path), summary=False)
    subprocess.run(
        [sys.executable, "-W", "ignore", str(program)], env=environment(settings), check=True, timeout=60
    )
    return seen


def test_a_package_of_the_program_applies_it(tmp_path: Path) -> None:
    seen = run(
        tmp_path, "async def main():\n    assert await inner() == 1\nhost.serve(main)\nasyncio.run(main())\n"
    )
    assert seen.hazards == []


@pytest.mark.parametrize("start", ["asyncio.run(inner())", "asyncio.get_event_loop().run_until_complete(inner())"])
def test_the_program_runs_a_loop_inside_that_packages_loop(tmp_path: Path, start: str) -> None:
    seen = run(tmp_path, f"async def main():\n    assert {start} == 1\nhost.serve(main)\n")
    hazard = seen.hazard("TL101")
    assert hazard["place"]["function"] == "main"
    assert "nest_asyncio" in hazard["message"]
    assert seen.codes == {"TL101"}


def test_a_loop_that_stands_still_there(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        "async def main():\n    waiting = asyncio.create_task(asyncio.sleep(1.6))\n    await asyncio.sleep(0.1)\n"
        "    time.sleep(1)\n    await waiting\nhost.serve(main)\n",
    )
    assert seen.codes == {"TL108"}
