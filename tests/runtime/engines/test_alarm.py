from __future__ import annotations

import asyncio
from typing import Any

import pytest

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines import alarm as alarm_module
from turnlane.runtime.engines.alarm import Alarm
from turnlane.testing.scripted_worker import PATIENCE

pytestmark = pytest.mark.anyio


class Rung:
    """Counts how often an alarm rang; the first `broken` times what was due could not be done."""

    def __init__(self, broken: int = 0) -> None:
        self.clock = 1_000.0
        self.broken = broken
        self.times: asyncio.Queue[float] = asyncio.Queue()
        self.alarm = Alarm(lambda: self.clock, self.ring)

    def ring(self) -> asyncio.Future[None]:
        self.times.put_nowait(asyncio.get_running_loop().time())
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.times.qsize() <= self.broken:
            done.set_exception(EngineUnavailable("the disk is full"))
        else:
            self.alarm.set(None)  # what was due is done
            done.set_result(None)
        return done

    async def heard(self) -> float:
        async with asyncio.timeout(PATIENCE):
            return await self.times.get()


async def test_it_rings_when_the_moment_has_come_and_not_before() -> None:
    rung = Rung()
    now = asyncio.get_running_loop().time()
    rung.alarm.set(1_000.05)
    assert await rung.heard() >= now + 0.05
    assert rung.alarm._timer is None


async def test_an_earlier_moment_takes_the_place_of_a_later_one() -> None:
    rung = Rung()
    rung.alarm.set(9_999.0)
    later = rung.alarm._timer
    rung.alarm.set(1_000.01)
    assert later is not None
    assert later.cancelled()
    await rung.heard()


async def test_a_moment_that_is_over_rings_at_once() -> None:
    rung = Rung()
    rung.alarm.set(0.0)
    await rung.heard()


async def test_it_rings_again_until_what_is_due_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_module, "AFTER_ERROR", 0.01)
    rung = Rung(broken=2)
    rung.alarm.set(1_000.0)
    while rung.times.qsize() < 3:
        await asyncio.sleep(0)
    assert rung.alarm._timer is None


async def test_after_an_error_it_waits_before_it_rings_again() -> None:
    rung = Rung(broken=1)
    rung.alarm.set(1_000.0)
    now = await rung.heard()
    await asyncio.sleep(0)
    rung.alarm.set(1_000.0)
    assert rung.alarm._timer is not None
    assert rung.alarm._timer.when() >= now + 0.9
    rung.alarm.close()


async def test_a_clock_that_was_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_module, "LONGEST_SLEEP", 0.01)
    rung = Rung()
    rung.alarm.set(99_000.0)
    assert rung.alarm._timer is not None
    assert rung.alarm._timer.when() <= asyncio.get_running_loop().time() + 0.02
    await rung.heard()


async def test_a_closed_one_never_rings() -> None:
    rung = Rung()
    rung.alarm.set(1_000.0)
    timer: Any = rung.alarm._timer
    rung.alarm.close()
    assert timer.cancelled()
    assert rung.alarm._timer is None


async def test_what_was_closed_meanwhile_is_no_error() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    called = asyncio.Event()

    def ring() -> asyncio.Future[None]:
        called.set()
        raise EngineUnavailable("closed")

    alarm = Alarm(lambda: 0.0, ring)
    alarm.set(0.0)
    async with asyncio.timeout(PATIENCE):
        await called.wait()
    await asyncio.sleep(0)
    assert told == []
