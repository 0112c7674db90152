"""The provider's side of a probe: the practice provider, as the conditions of a level want it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from turnlane.practice import PracticeProvider, RecordedRequest, Script
from turnlane.probe.answers import probing_script, with_latency
from turnlane.probe.conditions import Conditions

IDLE_BOUND: Final = 1.5
"""Seconds to wait for provider calls that go on after all answers."""
GAP: Final = 0.1
"""Seconds between two calls of one who takes work from a queue."""
_LOOK_EVERY: Final = 0.02


class ModelSide(Protocol):
    """Where the program's model calls arrive."""

    @property
    def base_url(self) -> str:
        """Its address, with `/v1`."""

    @property
    def running(self) -> int:
        """How many calls are being answered."""

    def calls(self) -> Sequence[RecordedRequest]:
        """The calls that arrived so far, oldest first."""

    def error_of(self, number: int) -> str | None:
        """What the call of this number was refused with, if that is known."""

    def prepare(self, conditions: Conditions) -> None:
        """Answer as these conditions want it from the next call on."""

    async def start(self) -> None:
        """Begin to listen."""

    async def stop(self) -> None:
        """Stop listening."""


class PracticeSide:
    """The practice provider with the probe's script, or the user's.

    Args:
        script: the user's; None for the probe's own.
        port: to listen on; 0 for any.
    """

    def __init__(self, script: Script | None = None, port: int = 0) -> None:
        self._script = script
        self.provider = PracticeProvider(script or probing_script(), port=port, keep_requests=50_000)

    @property
    def base_url(self) -> str:
        return self.provider.base_url

    @property
    def running(self) -> int:
        return self.provider.running

    def calls(self) -> Sequence[RecordedRequest]:
        return self.provider.requests

    def error_of(self, number: int) -> str | None:
        return None  # the practice provider does not record its own words

    def prepare(self, conditions: Conditions) -> None:
        self.provider.use(self._script_for(conditions))
        for fault in conditions.faults:
            self.provider.faults.add(fault)
        if conditions.budget is not None:
            self.provider.faults.budget = conditions.budget.full()

    async def start(self) -> None:
        await self.provider.start()

    async def stop(self) -> None:
        await self.provider.stop()

    def _script_for(self, conditions: Conditions) -> Script:
        script = conditions.script or self._script
        if script is None:
            script = probing_script(without_tools=conditions.without_tools)
        return script if conditions.latency is None else with_latency(script, conditions.latency)


async def idle(side: ModelSide, bound: float = IDLE_BOUND, quiet: float = GAP) -> bool:
    """Wait until no call has come or gone on for `quiet` seconds; whether that was so within `bound` seconds."""
    deadline = time.monotonic() + bound
    busy, newest = time.monotonic(), 0
    while (now := time.monotonic()) < deadline:
        number = max((record.number for record in side.calls()), default=0)
        if side.running or number != newest:
            busy, newest = now, number
        elif now - busy >= quiet:
            return True
        await asyncio.sleep(_LOOK_EVERY)
    return False
