"""A callback that holds the loop, and what only looks like one."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import functools
import importlib
import io
import runpy
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from turnlane import guard
from turnlane.guard import holders, requests
from turnlane.guard.requests import Request
from turnlane.guard.thread_times import not_the_programs, times_of

from .conftest import Watched

THRESHOLD = 0.06
RUNNERS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def attentive(tmp_path: Path) -> Iterator[Watched]:
    """The guard with a low threshold."""
    seen = Watched(tmp_path / "records.jsonl")
    guard.install(output=str(seen.path), summary=False, threshold=THRESHOLD)
    yield seen
    guard.uninstall()


async def beside(work: Coroutine[Any, Any, Any]) -> None:
    """While somebody else wants the loop."""
    other = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    await work
    await asyncio.sleep(2 * THRESHOLD)  # the watch looks once more, and sees that it is over
    other.cancel()


async def waits() -> None:
    for _ in range(4):
        time.sleep(THRESHOLD)


async def computes() -> None:
    spent = time.thread_time() + 5 * THRESHOLD
    while time.thread_time() < spent:
        sum(range(100))


async def computes_in_native_code() -> None:
    spent = time.thread_time() + 8 * THRESHOLD
    while time.thread_time() < spent:
        7**300_000 % 11


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize("work", [waits, computes, computes_in_native_code])
def test_a_callback_that_holds_the_loop(attentive: Watched, run: Run, work: Callable[[], Any]) -> None:
    run(beside(work()))
    hazard = attentive.hazard("TL108")
    assert hazard["place"]["function"] == work.__name__
    assert hazard["measures"]["seconds"] >= THRESHOLD
    assert hazard["thread"] == "MainThread"  # not that of the watch
    assert [stack["title"] for stack in hazard["stacks"]] == ["this holds the loop", "the loop was started here"]


async def many_tasks_that_are_ready_at_once() -> None:
    async def short() -> None:
        time.sleep(THRESHOLD / 4)

    await asyncio.gather(*(short() for _ in range(24)))


async def many_short_callbacks() -> None:
    for _ in range(40):
        time.sleep(THRESHOLD / 8)
        await asyncio.sleep(0)


async def a_busy_loop() -> None:
    end = time.monotonic() + 5 * THRESHOLD
    while time.monotonic() < end:
        await asyncio.sleep(0)


async def in_a_thread() -> None:
    await asyncio.to_thread(time.sleep, 4 * THRESHOLD)


async def asks_at_the_terminal() -> None:
    class Slow(io.StringIO):
        def readline(self, *args: Any) -> str:
            time.sleep(4 * THRESHOLD)
            return "yes\n"

    before, sys.stdin = sys.stdin, Slow()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            input("continue? ")
    finally:
        sys.stdin = before


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize(
    "work",
    [
        many_tasks_that_are_ready_at_once,
        many_short_callbacks,
        a_busy_loop,
        in_a_thread,
        asks_at_the_terminal,
    ],
)
def test_what_does_not_hold_the_loop(attentive: Watched, run: Run, work: Callable[[], Any]) -> None:
    run(beside(work()))
    assert attentive.hazards == []


def computed() -> float:
    times = times_of(threading.get_native_id())
    assert times is not None
    return times.cpu


def test_what_the_guard_computes_is_not_the_programs() -> None:
    before = computed()
    with not_the_programs():
        spent = time.thread_time() + 0.2
        while time.thread_time() < spent:
            pass
        during = computed()
    assert during - before < 0.1
    assert computed() - before < 0.1


class Session:
    """One of very many."""


def test_a_search_for_holders_is_not_the_programs() -> None:
    session = Session()
    sessions = dict.fromkeys(range(300_000), session)
    before, began = computed(), time.thread_time()
    assert len(holders.keys_of(session)) == 1  # all of them are one
    assert computed() - before < (time.thread_time() - began) / 2
    sessions.clear()


def test_a_script_alone_holds_up_nobody(attentive: Watched) -> None:
    asyncio.run(waits())
    assert attentive.hazards == []


@pytest.mark.parametrize(("other", "codes"), [(False, set()), (True, {"TL108"})])
def test_a_loop_for_one_request(attentive: Watched, other: bool, codes: set[str]) -> None:
    with requests.within(Request("flask", "GET /")):
        asyncio.run(beside(waits()) if other else waits())
    assert attentive.codes == codes


def test_an_import_is_no_hazard(attentive: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(f"import time\ntime.sleep({4 * THRESHOLD})\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def loads() -> None:
        importlib.import_module("slow_to_import")

    asyncio.run(beside(loads()))
    assert attentive.hazards == []


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="its cached properties have no lock")
def test_a_property_that_another_thread_prepares_is_no_hazard(attentive: Watched) -> None:
    begun = threading.Event()

    class Client:
        @functools.cached_property
        def chat(self) -> str:
            if not begun.is_set():
                begun.set()
                time.sleep(12 * THRESHOLD)
            return "loaded"

    other = threading.Thread(target=lambda: Client().chat)

    async def asks() -> None:
        other.start()
        begun.wait()
        assert Client().chat == "loaded"

    asyncio.run(beside(asks()))
    other.join()
    assert attentive.hazards == []


class Late(threading.Thread):
    """A thread that a busy machine does not let begin."""

    def _bootstrap_inner(self) -> None:
        time.sleep(6 * THRESHOLD)
        super()._bootstrap_inner()  # type: ignore[misc]


def test_a_thread_that_is_long_in_beginning_is_no_hazard(attentive: Watched) -> None:
    async def starts_one() -> None:
        Late().start()

    asyncio.run(beside(starts_one()))
    assert attentive.hazards == []


def test_a_pool_that_waits_for_another_to_begin_a_thread_is_no_hazard(attentive: Watched) -> None:
    held = threading.Event()

    def hold() -> None:
        with concurrent.futures.thread._global_shutdown_lock:
            held.set()
            time.sleep(8 * THRESHOLD)

    async def hands_over() -> None:
        threading.Thread(target=hold).start()
        held.wait()
        await asyncio.to_thread(int)

    asyncio.run(beside(hands_over()))
    assert attentive.hazards == []


def test_a_block_without_end_is_told_while_it_lasts(attentive: Watched) -> None:
    async def until_told() -> None:
        end = time.monotonic() + 10
        while not attentive.records or not attentive.of_kind("hazard"):
            assert time.monotonic() < end
            time.sleep(0.005)

    asyncio.run(beside(until_told()))
    hazard = attentive.hazard("TL108")
    assert hazard["measures"]["ended"] is False
    assert "so far" in hazard["message"]


@pytest.mark.parametrize(("package", "codes"), [("some_host", set()), ("autogen_ext", {"TL108"})])
def test_a_servers_own_housekeeping_is_no_mistake_of_the_program(
    attentive: Watched, tmp_path: Path, package: str, codes: set[str]
) -> None:
    folder = tmp_path / "site-packages" / package
    folder.mkdir(parents=True)
    (folder / "work.py").write_text("import time\n\ndef waits(seconds):\n    time.sleep(seconds)\n")
    waits = runpy.run_path(str(folder / "work.py"))["waits"]

    async def main() -> None:
        asyncio.get_running_loop().call_soon(waits, 8 * THRESHOLD)
        await asyncio.sleep(0)

    asyncio.run(beside(main()))
    assert attentive.codes == codes
