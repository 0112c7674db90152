"""Coroutines that nobody awaits: of a model's client, and of the program's own."""

from __future__ import annotations

import asyncio
import gc
import inspect
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent

import pytest
from openai.resources.chat.completions import AsyncCompletions

from turnlane import guard
from turnlane.guard.launch import environment
from turnlane.guard.settings import GuardSettings

from .conftest import Watched

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

HEAD = """
import asyncio
import json
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url="http://127.0.0.1:1/v1", api_key="practice")
asked = {"model": "m", "messages": []}

async def reply():
    return "hello"

async def fails():
    raise ValueError("no")

def run(coroutine):
    return asyncio.get_event_loop().run_until_complete(coroutine)
"""


def run(tmp_path: Path, body: str) -> None:
    """A program whose `main` is `body`."""
    file = tmp_path / "program.py"
    file.write_text(HEAD + "async def main():\n" + indent(body, "    "))
    names = runpy.run_path(str(file))
    asyncio.run(names["main"]())
    names.clear()
    with ThreadPoolExecutor(1) as pool:  # where no line of a program is
        pool.submit(gc.collect).result()


@pytest.mark.parametrize(
    ("body", "what", "line"),
    [
        ("client.chat.completions.create(**asked)", "AsyncCompletions.create", 18),
        ("answer = client.responses.create(model='m', input='x')\nreturn", "AsyncResponses.create", 18),
        ("client.close()", "AsyncOpenAI.close", 18),
        ("reply()", "reply", 18),
        ("text = str(reply())", "reply", 18),
    ],
)
def test_never_awaited(watched: Watched, tmp_path: Path, body: str, what: str, line: int) -> None:
    run(tmp_path, body)
    hazard = watched.hazard("TL106")
    assert what in hazard["message"]
    assert hazard["place"]["line"] == line
    assert watched.codes == {"TL106"}


def test_one_that_a_library_lets_go_of_is_told_with_its_own_first_line(watched: Watched, tmp_path: Path) -> None:
    run(
        tmp_path,
        "loop = asyncio.get_running_loop()\nloop.set_exception_handler(lambda *_: None)\n"
        "loop.call_soon(json.dumps, reply())\nawait asyncio.sleep(0)",
    )
    assert watched.hazard("TL106")["place"]["function"] == "reply"


def test_what_the_main_module_holds_to_the_end(tmp_path: Path) -> None:
    seen = Watched(tmp_path / "records.jsonl")
    file = tmp_path / "program.py"
    file.write_text(
        "import asyncio\nasync def reply():\n    return 1\nasync def main():\n    await asyncio.sleep(0)\n"
        "answer = reply()\nOut = {3: reply()}\nbegun = main()\nasyncio.run(begun)\n"
    )
    settings = GuardSettings(output=str(seen.path), summary=False)
    subprocess.run([sys.executable, str(file)], env=environment(settings), check=True, timeout=60)
    assert seen.hazard("TL106")["object"] == "reply"
    assert seen.of_kind("end")[-1]["counts"] == {f"TL106 {file}:2": 2}


@pytest.mark.parametrize(
    "body",
    [
        "assert await reply() == 'hello'",
        "await asyncio.gather(reply(), asyncio.create_task(reply()))",
        "task = asyncio.create_task(reply())\ntask.cancel()",
        "reply().close()",
        "await asyncio.gather(reply(), fails(), return_exceptions=True)",
        "await client.close()",
    ],
)
def test_right_forms_are_silent(watched: Watched, tmp_path: Path, body: str) -> None:
    run(tmp_path, body)
    assert watched.hazards == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("try:\n    asyncio.run(reply())\nexcept RuntimeError:\n    pass", "TL101"),
        ("try:\n    await asyncio.to_thread(run, reply())\nexcept RuntimeError:\n    pass", "TL103"),
    ],
)
def test_what_another_hazard_keeps_from_beginning(watched: Watched, tmp_path: Path, body: str, code: str) -> None:
    run(tmp_path, body)
    assert watched.codes == {code}


def test_who_asks_hears_what_it_heard_before() -> None:
    before = inspect.iscoroutinefunction(AsyncCompletions.create)
    guard.install(summary=False)
    try:
        assert inspect.iscoroutinefunction(AsyncCompletions.create) is before
    finally:
        guard.uninstall()
