"""Whether other requests stand still while the program works on one: for programs that the guard cannot watch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Session
from turnlane.probe.report import Evidence
from turnlane.probe.verdict import Sign

STANDSTILL: Final = 0.3
"""Seconds for an answer to a request that asks for nothing; a healthy loop takes milliseconds, and a busy machine
a few tens of them."""
TIMES_IDLE: Final = 5
"""So many times longer than while the program idles: a machine that is slow at everything is not meant."""
USERS: Final = 3
ROUNDS: Final = 2
_PAUSE: Final = 0.02
_QUIET: Final = 0.3


async def standstill_signs(session: Session, base: Conditions) -> list[Sign]:
    """TL108: in each of two rounds a request that asks for nothing waits for the work of others.

    Only for programs that are known to serve everybody from one event loop: a server with one blocking worker
    makes others wait by design.
    """
    async with httpx2.AsyncClient(trust_env=False, timeout=30.0) as http:
        address = _nothing_at(session.target.url)
        idle = await _slowest(http, address, _QUIET)
        worst = []
        for _ in range(ROUNDS):
            working = replace(base, concurrency=USERS, rounds=1, turns=1)
            worst.append(await _slowest_during(http, address, session, working))
        idle = max(idle, await _slowest(http, address, _QUIET))
    if min(worst) < max(STANDSTILL, TIMES_IDLE * idle):
        return []
    return [
        Sign(
            codes=("TL108",),
            source="experiment",
            summary=f"While the program works for {USERS} users, a request that asks for nothing waits "
            f"{min(worst):.1f} s: something blocks the event loop.",
            minimal_level=1,
            evidence=(
                Evidence(
                    experiment=f"a request for nothing, beside {USERS} users",
                    before=f"{idle * 1000:.0f} ms while idle",
                    after=f"{min(worst) * 1000:.0f} ms",
                ),
            ),
        )
    ]


def _nothing_at(url: str) -> str:
    """A path that no program serves; its 404 takes no work."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/turnlane-probe-asks-for-nothing", "", ""))


async def _slowest_during(
    http: httpx2.AsyncClient, address: str, session: Session, conditions: Conditions
) -> float:
    level = asyncio.create_task(session.run_level(conditions))
    slowest = 0.0
    try:
        while not level.done():
            slowest = max(slowest, await _asked(http, address))
            await asyncio.sleep(_PAUSE)
    finally:
        await level
    return slowest


async def _slowest(http: httpx2.AsyncClient, address: str, seconds: float) -> float:
    end = time.monotonic() + seconds
    slowest = 0.0
    while time.monotonic() < end:
        slowest = max(slowest, await _asked(http, address))
        await asyncio.sleep(_PAUSE)
    return slowest


async def _asked(http: httpx2.AsyncClient, address: str) -> float:
    started = time.monotonic()
    try:
        await http.get(address)
    except httpx2.HTTPError:
        return 0.0  # a program that refuses it says nothing about its loop
    return time.monotonic() - started
