"""Who owns the loop: first owner here, second here."""

from __future__ import annotations

import asyncio
import importlib
import logging
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop

from turnlane import guard
from turnlane.guard import requests
from turnlane.guard.launch import environment
from turnlane.guard.requests import Request
from turnlane.guard.settings import GuardSettings

from .conftest import Watched

HERE = __file__


async def answer() -> int:
    await asyncio.sleep(0)
    return 7


def helper() -> int:
    return asyncio.run(answer())


def test_a_loop_is_started_where_one_runs(watched: Watched) -> None:
    async def handler() -> int:
        return helper()

    with pytest.raises(RuntimeError, match=r"asyncio\.run\(\) cannot be called from a running event loop"):
        asyncio.run(handler())
    hazard = watched.hazard("TL101")
    assert hazard["place"]["function"] == "helper"
    first, second = hazard["stacks"]
    assert first["frames"][-1]["function"] == "test_a_loop_is_started_where_one_runs"
    assert [frame["function"] for frame in second["frames"]][-2:] == [
        "test_a_loop_is_started_where_one_runs.<locals>.handler",
        "helper",
    ]
    assert watched.codes == {"TL101"}


@pytest.mark.parametrize(("run", "runs"), [(asyncio.run, False), (uvloop.run, True)], ids=["asyncio", "uvloop"])
def test_run_until_complete_where_a_loop_runs(watched: Watched, run: Any, runs: bool) -> None:
    begun = []

    async def work() -> None:
        begun.append(True)

    async def handler() -> None:
        coroutine = work()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop().run_until_complete(coroutine)
        await asyncio.sleep(0)
        if not runs:
            coroutine.close()

    run(handler())
    assert bool(begun) is runs
    assert ("runs in the background" in watched.hazard("TL101")["message"]) is runs
    assert watched.codes == {"TL101"}


def test_anyio_run_where_a_loop_runs(watched: Watched) -> None:
    async def handler() -> None:
        anyio.run(answer)

    with pytest.raises(RuntimeError):
        asyncio.run(handler())
    assert watched.codes == {"TL101"}


def test_strict_mode_raises_at_the_place(tmp_path: Path) -> None:
    guard.install(output=str(tmp_path / "records"), summary=False, strict=True)
    try:

        async def handler() -> int:
            return helper()

        with pytest.raises(guard.HazardError, match="TL101"):
            asyncio.run(handler())
    finally:
        guard.uninstall()


def test_a_loop_of_another_thread_is_run(watched: Watched) -> None:
    def elsewhere(loop: asyncio.AbstractEventLoop) -> None:
        coroutine = answer()
        with pytest.raises(RuntimeError):
            loop.run_until_complete(coroutine)
        coroutine.close()

    async def main() -> None:
        await asyncio.to_thread(elsewhere, asyncio.get_running_loop())

    asyncio.run(main())
    assert watched.codes == {"TL103"}


def test_a_thread_of_a_pool_has_no_loop(watched: Watched) -> None:
    def work() -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_event_loop()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    hazard = watched.hazard("TL103")
    assert hazard["place"]["function"].endswith("work")
    assert hazard["thread"].startswith("ThreadPoolExecutor")


def test_a_thread_that_expects_to_have_none_is_right(watched: Watched) -> None:
    def work() -> int:
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(answer())
        finally:
            loop.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == 7
    assert watched.hazards == []


@dataclass
class ChatResult:
    """As a finished chat of the classic framework gives it."""

    summary: str = "hello"


def test_a_finished_call_is_run(watched: Watched) -> None:
    with pytest.raises(ValueError, match="a coroutine was expected"):
        asyncio.run(ChatResult())  # type: ignore[arg-type]
    hazard = watched.hazard("TL109")
    assert hazard["object"] == "ChatResult"
    assert hazard["place"]["function"] == "test_a_finished_call_is_run"


def test_a_finished_call_is_awaited(watched: Watched) -> None:
    async def main() -> None:
        await ChatResult()  # type: ignore[misc]

    with pytest.raises(TypeError):
        asyncio.run(main())
    assert watched.hazard("TL109")["place"]["function"].endswith("main")


async def in_a_group(thing: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(thing)


@pytest.mark.parametrize(
    "wait",
    [asyncio.gather, asyncio.shield, asyncio.create_task, lambda thing: asyncio.wait_for(thing, 1), in_a_group],
    ids=["gather", "shield", "create_task", "wait_for", "TaskGroup"],
)
def test_a_finished_call_is_waited_for_with_others(watched: Watched, wait: Callable[[Any], Any]) -> None:
    async def main() -> None:
        await wait(ChatResult())

    with pytest.raises((TypeError, ExceptionGroup)):
        asyncio.run(main())
    hazard = watched.hazard("TL109")
    assert hazard["object"] == "ChatResult"
    assert hazard["place"]["file"] == __file__


def test_another_mistake_with_a_future(watched: Watched) -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.sleep(0), 7)  # type: ignore[call-overload]

    with pytest.raises(TypeError):
        asyncio.run(main())
    assert watched.hazards == []


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("runs_at_import", "guards_its_run"):
        sys.modules.pop(name, None)


RUNS = (
    "import asyncio\nasync def main():\n    return 1\ndef go():\n    return asyncio.run(main())\nRESULT = go()\n"
)
GUARDS = "import asyncio\nasync def main():\n    return 1\nif __name__ == '__main__':\n    asyncio.run(main())\n"


def test_a_loop_is_started_by_an_import(watched: Watched, importable: Path) -> None:
    (importable / "runs_at_import.py").write_text(RUNS)
    importlib.import_module("runs_at_import")
    hazard = watched.hazard("TL113")
    assert (hazard["place"]["function"], hazard["place"]["line"]) == ("<module>", 6)


def test_an_import_inside_a_loop_is_one_hazard(watched: Watched, importable: Path) -> None:
    (importable / "runs_at_import.py").write_text(RUNS)

    async def server() -> None:
        importlib.import_module("runs_at_import")

    with pytest.raises(RuntimeError):
        asyncio.run(server())
    assert watched.codes == {"TL113"}


def test_a_main_script_may_run_what_it_likes(watched: Watched, importable: Path) -> None:
    (importable / "script.py").write_text(RUNS)
    (importable / "guards_its_run.py").write_text(GUARDS)
    runpy.run_path(str(importable / "script.py"), run_name="__main__")
    importlib.import_module("guards_its_run")
    assert watched.hazards == []


def test_the_loop_waits_for_itself(watched: Watched) -> None:
    async def handler() -> None:
        future = asyncio.run_coroutine_threadsafe(answer(), asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            future.result(timeout=0.01)
        assert await asyncio.wrap_future(future) == 7

    asyncio.run(handler())
    hazard = watched.hazard("TL110")
    assert hazard["place"]["function"].endswith("handler")
    assert len(hazard["stacks"]) == 3


def test_a_deadlock_is_told_before_it_blocks(tmp_path: Path) -> None:
    guard.install(output=str(tmp_path / "records"), summary=False, strict=True)
    try:

        async def handler() -> None:
            asyncio.run_coroutine_threadsafe(answer(), asyncio.get_running_loop()).result()

        with pytest.raises(guard.HazardError, match="TL110"):
            asyncio.run(handler())
    finally:
        guard.uninstall()


def test_loop_and_thread_wait_for_each_other(watched: Watched) -> None:
    async def handler() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(lambda: asyncio.run_coroutine_threadsafe(answer(), loop).result(timeout=0.2))
            with pytest.raises(TimeoutError):
                work.result()

    asyncio.run(handler())
    assert watched.codes == {"TL110"}


def nothing_special() -> None:
    assert asyncio.run(answer()) == 7
    assert asyncio.run(answer()) == 7


def one_runner() -> None:
    with asyncio.Runner() as runner:
        assert [runner.run(answer()), runner.run(answer())] == [7, 7]


def a_private_loop() -> None:
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(answer()) == 7
    loop.close()


def other_loops() -> None:
    assert uvloop.run(answer()) == 7
    assert anyio.run(answer) == 7


def a_loop_in_a_thread() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert asyncio.run_coroutine_threadsafe(answer(), loop).result() == 7
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def back_into_the_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def work() -> int:
            return asyncio.run_coroutine_threadsafe(answer(), loop).result()

        assert await asyncio.to_thread(work) == 7
        assert await loop.run_in_executor(None, asyncio.run, answer()) == 7
        assert asyncio.get_event_loop() is loop

    asyncio.run(main())


@pytest.mark.parametrize(
    "program", [nothing_special, one_runner, a_private_loop, other_loops, a_loop_in_a_thread, back_into_the_loop]
)
def test_right_forms_are_silent(watched: Watched, program: Any) -> None:
    program()
    assert watched.hazards == []


def run_script(tmp_path: Path, text: str) -> Watched:
    """A program of its own, watched: for what changes asyncio for good."""
    script, seen = tmp_path / "program.py", Watched(tmp_path / "records.jsonl")
    script.write_text(text)
    settings = GuardSettings(output=str(seen.path), summary=False)
    subprocess.run(
        [sys.executable, "-W", "ignore", str(script)], env=environment(settings), check=True, timeout=60
    )
    return seen


def test_a_script_that_asks_for_a_loop(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        "import asyncio\nasync def main():\n    pass\n"
        "try:\n    loop = asyncio.get_event_loop()\n    loop.run_until_complete(main())\n"
        "except RuntimeError:\n    pass\n",
    )
    assert seen.hazard("TL104")["place"]["line"] == 5
    assert seen.codes == {"TL104"}


def test_nested_loops_are_allowed(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        "import asyncio\nimport nest_asyncio\nnest_asyncio.apply()\nasync def inner():\n    return 1\n"
        "async def main():\n    return asyncio.run(inner())\nasyncio.run(main())\n",
    )
    assert seen.hazard("TL105")["place"]["line"] == 3
    assert seen.codes == {"TL105"}


def test_uninstall_leaves_asyncio_as_it_was(watched: Watched) -> None:
    assert asyncio.run is asyncio.runners.run
    assert asyncio.run.__module__ == "asyncio.runners"
    guard.uninstall()
    for function in (asyncio.run, asyncio.run_coroutine_threadsafe, asyncio.BaseEventLoop.run_forever):
        assert "/asyncio/" in function.__code__.co_filename
    assert "run_forever" not in vars(uvloop.Loop)


def test_a_handler_that_catches_what_it_awaited(watched: Watched) -> None:
    async def handler() -> None:
        with requests.within(Request("test", "GET /")):
            try:
                await ChatResult()  # type: ignore[misc]
            except TypeError:
                logging.getLogger("app").exception("no advice")

    asyncio.run(handler())
    assert watched.hazard("TL109")["place"]["function"].endswith("handler")


def test_a_loop_whose_thread_a_fork_left_behind(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        "import asyncio, os, threading\nasync def answer():\n    return 7\nloop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "assert asyncio.run_coroutine_threadsafe(answer(), loop).result() == 7\n"
        "if os.fork() == 0:\n    asyncio.run_coroutine_threadsafe(answer(), loop)\n    os._exit(0)\nos.wait()\n",
    )
    assert seen.hazard("TL301")["place"]["line"] == 8
    assert seen.codes == {"TL301"}
