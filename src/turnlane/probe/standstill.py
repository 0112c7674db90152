"""Whether other requests stand still while the program works on one: for programs that the guard cannot watch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Session
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.readiness import ask_for_nothing
from turnlane.probe.report import Evidence
from turnlane.probe.target import Target
from turnlane.probe.verdict import Sign

STANDSTILL: Final = 0.3
"""Seconds for a refusal of what is no request; a healthy loop takes milliseconds, and a busy machine
a few tens of them."""
TIMES_IDLE: Final = 5
"""So many times longer than while the program idles: a machine that is slow at everything is not meant."""
USERS: Final = 3
ROUNDS: Final = 2
_PAUSE: Final = 0.02
_QUIET: Final = 0.3
_BOUND: Final = 10.0


def standstill_seconds(alone: LevelOutcome) -> float:
    """How long it takes to find out, where no two requests are worked on at once.

    Args:
        alone: one user with nothing in the way.
    """
    slowest = max((request.seconds for request in alone.requests), default=1.0)
    return ROUNDS * USERS * slowest + 2 * _QUIET


async def standstill_signs(session: Session, base: Conditions) -> list[Sign]:
    """TL108: in each of two rounds the refusal of what is no request waits for the work for others.

    Only for programs that are known to serve everybody from one event loop: a server with one blocking worker
    makes others wait by design.
    """
    working = replace(base, concurrency=USERS, rounds=1, turns=1)
    idle = await _slowest(session, _QUIET)
    worst = [await _slowest_during(session, working) for _ in range(ROUNDS)]
    idle = max(idle, await _slowest(session, _QUIET))
    if min(worst) < max(STANDSTILL, TIMES_IDLE * idle):
        return []
    return [
        Sign(
            codes=("TL108",),
            source="experiment",
            summary=f"While the program works for {USERS} users, a connection that asks for nothing waits "
            f"{min(worst):.1f} s: something blocks the event loop.",
            minimal_level=1,
            evidence=(
                Evidence(
                    experiment=f"a connection that asks for nothing, beside {USERS} users",
                    before=f"{idle * 1000:.0f} ms while idle",
                    after=f"{min(worst) * 1000:.0f} ms",
                ),
            ),
        )
    ]


async def _slowest_during(session: Session, conditions: Conditions) -> float:
    level = asyncio.create_task(session.run_level(conditions))
    slowest = 0.0
    try:
        while not level.done():
            slowest = max(slowest, await _asked(session.target))
            await asyncio.sleep(_PAUSE)
    finally:
        await level
    return slowest


async def _slowest(session: Session, seconds: float) -> float:
    end = time.monotonic() + seconds
    slowest = 0.0
    while time.monotonic() < end:
        slowest = max(slowest, await _asked(session.target))
        await asyncio.sleep(_PAUSE)
    return slowest


async def _asked(target: Target) -> float:
    """How long the program takes to refuse what is no request; it does so in the loop that does all its work."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(_BOUND):
            await ask_for_nothing(target.host, target.port)
    except (OSError, TimeoutError):
        return 0.0  # a program that does not even refuse says nothing about its loop
    return time.monotonic() - started
