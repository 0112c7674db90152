"""Whether others wait while a program works for one of them, for programs without the guard."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from turnlane.probe import attribute
from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Session
from turnlane.probe.model_side import PracticeSide
from turnlane.probe.standstill import standstill_seconds, standstill_signs
from turnlane.probe.subject import Subject
from turnlane.probe.target import http_target

from .made_outcomes import outcome, request
from .test_attribute import reported

pytestmark = pytest.mark.anyio

WORK = 0.2


async def blocks() -> None:
    time.sleep(WORK)


async def waits() -> None:
    await asyncio.sleep(WORK)


@contextmanager
def served_by_a_loop_of_its_own(work: Callable[[], Awaitable[None]]) -> Iterator[str]:
    """The address of a program that works for each POST, and hangs up on all else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await work()
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{"answer": "a"}')
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(answer, "127.0.0.1", 0), loop)
    try:
        yield f"http://127.0.0.1:{listening.result(5).sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(listening.result().close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize(("work", "codes"), [(blocks, [("TL108",)]), (waits, [])])
async def test_a_connection_that_asks_for_nothing(
    work: Callable[[], Awaitable[None]], codes: list[tuple[str, ...]]
) -> None:
    with served_by_a_loop_of_its_own(work) as address:
        async with Session(http_target(f"{address}/", {"message": "{prompt}"}), PracticeSide()) as session:
            signs = await standstill_signs(session, Conditions())
    assert [sign.codes for sign in signs] == codes


def test_it_takes_no_longer_than_its_own_requests_one_by_one() -> None:
    assert 12 <= standstill_seconds(outcome(request(1, finished=2.0), request(2, finished=0.5))) < 13


async def test_what_there_is_no_time_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "one_loop", True)
    monkeypatch.setattr(attribute, "standstill_seconds", lambda alone: 1000.0)
    monkeypatch.setattr(attribute, "TRIALS", ())
    (note,) = (await reported("one_history", levels=(1,))).notes
    assert attribute.STANDSTILL in note
