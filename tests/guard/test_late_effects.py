"""What a plain tool does after the run that called it was stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from turnlane.guard import runs, tools
from turnlane.guard.stacks import capture

from .conftest import Watched

BOOKED: list[str] = []


class Agent:
    name = "clerk"


class Tool:
    """A plain tool that waits in the middle.

    Attributes:
        waits: it has come to its wait.
        goes_on: it may leave it.
        over: it has returned.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waits, self.goes_on, self.over = threading.Event(), threading.Event(), threading.Event()

    def wait(self) -> None:
        self.waits.set()
        self.goes_on.wait(30)

    def book_then_wait(self) -> None:
        BOOKED.append("a table")
        self.wait()
        BOOKED.count("a table")

    def wait_then_book(self) -> None:
        self.wait()
        BOOKED.append("a table")

    def book_through_a_helper(self) -> None:
        self.wait_then_book()

    def wait_through_a_helper(self) -> None:
        self.book_then_wait()

    def wait_then_write(self) -> None:
        self.wait()
        (self.folder / "bookings.txt").write_text("a table")

    def wait_then_read(self) -> None:
        self.wait()
        len(BOOKED)


async def called(
    work: Callable[[], Any], over: threading.Event, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    """As a framework calls a plain tool: in a thread, within a run."""
    agent = Agent()
    run = runs.begin(agent, "agent", "run", capture())
    assert run is not None
    call = tools.begin("book", work)
    token, current = runs.current_tool.set(call), runs.set_current(run)

    def done() -> None:
        try:
            work()
        finally:
            over.set()

    try:
        await hand_over(done)
    except BaseException as error:
        tools.end(call, error)
        runs.end(run, "cancelled", error)
        raise
    finally:
        runs.unset_tool(token)
        runs.unset_current(current)
    tools.end(call, None)
    runs.end(run, "ended")


def to_thread(work: Callable[[], None]) -> Awaitable[None]:
    return asyncio.to_thread(work)


def of_anyio(work: Callable[[], None]) -> Awaitable[None]:
    return anyio.to_thread.run_sync(work)


async def stopped_in_its_wait(
    tool: Tool, work: Callable[[], Any], hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    run = asyncio.ensure_future(called(work, tool.over, hand_over))
    await asyncio.to_thread(tool.waits.wait)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    tool.goes_on.set()
    await asyncio.to_thread(tool.over.wait)


def told(watched: Watched, code: str) -> bool:
    """Whether it is told; the thread may be about to, when its tool has returned."""
    deadline = time.monotonic() + 20
    while code not in watched.codes and time.monotonic() < deadline:
        time.sleep(0.01)
    return code in watched.codes


WAYS = pytest.mark.parametrize("hand_over", [to_thread, of_anyio])


@WAYS
@pytest.mark.parametrize("name", ["wait_then_book", "book_through_a_helper", "wait_then_write"])
def test_an_effect_after_the_stop(
    watched: Watched, tmp_path: Path, name: str, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    tool = Tool(tmp_path)
    asyncio.run(stopped_in_its_wait(tool, getattr(tool, name), hand_over))
    assert told(watched, "TL404")
    hazard = watched.hazard("TL404")
    assert hazard["place"]["function"] == f"Tool.{name}"
    assert watched.codes == {"TL404"}


@WAYS
@pytest.mark.parametrize("name", ["book_then_wait", "wait_through_a_helper", "wait_then_read"])
def test_no_effect_after_the_stop(
    watched: Watched, tmp_path: Path, name: str, hand_over: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    tool = Tool(tmp_path)
    asyncio.run(stopped_in_its_wait(tool, getattr(tool, name), hand_over))
    assert watched.hazards == []


def test_an_effect_of_what_an_async_tool_has_handed_over(watched: Watched, tmp_path: Path) -> None:
    tool = Tool(tmp_path)

    async def book() -> None:
        def gateway() -> None:
            tool.wait()
            BOOKED.append("a table")
            tool.over.set()

        await asyncio.to_thread(gateway)

    asyncio.run(stopped_in_its_wait(tool, book, lambda _: book()))
    assert told(watched, "TL404")
    assert watched.codes == {"TL404"}


def test_an_effect_of_a_tool_that_nobody_stops(watched: Watched, tmp_path: Path) -> None:
    tool = Tool(tmp_path)
    tool.goes_on.set()
    asyncio.run(called(tool.wait_then_write, tool.over, to_thread))
    assert watched.hazards == []


def test_a_tool_within_a_thread_that_nobody_waits_for_any_more(watched: Watched, tmp_path: Path) -> None:
    tool = Tool(tmp_path)

    def chat() -> None:
        """As classic AutoGen calls a tool: in the thread of its chat."""
        agent = Agent()
        run = runs.begin(agent, "agent", "run", capture())
        assert run is not None
        current = runs.set_current(run)
        call = tools.begin("book", tool.wait_then_book)
        tool.wait_then_book()
        tools.end(call, None)
        runs.end(run, "ended")
        runs.unset_current(current)
        tool.over.set()

    async def main() -> None:
        waiting = asyncio.ensure_future(asyncio.to_thread(chat))
        await asyncio.to_thread(tool.waits.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        tool.goes_on.set()
        await asyncio.to_thread(tool.over.wait)

    asyncio.run(main())
    assert told(watched, "TL404")
    assert watched.codes == {"TL404"}
