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


IN_THE_BACKGROUND = """
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from turnlane.guard.requests import Request, within

class Slow(BaseChatAgent):
    produced_message_types = (TextMessage,)

    async def on_messages(self, messages, token):
        await asyncio.sleep(0.3)
        return Response(chat_message=TextMessage(content="hi", source=self.name))

    async def on_reset(self, token):
        pass

async def title():
    return await Slow("slow", "slow").run(task="a title")

held = []

async def main():
    with within(Request("test", "POST /chat")):
        {start}
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.6)
host.serve(main)
"""


@pytest.mark.parametrize(
    ("start", "codes"),
    [("asyncio.create_task(title())", {"TL501"}), ("held.append(asyncio.create_task(title()))", set())],
)
def test_a_run_in_the_background_there(tmp_path: Path, start: str, codes: set[str]) -> None:
    assert run(tmp_path, IN_THE_BACKGROUND.format(start=start)).codes == codes
