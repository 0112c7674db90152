"""When events that readers have seen become durable: soon, in one transaction for all running turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.runtime.conversation import Claim, TurnEvent
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.live import LiveTurn

SOON: Final = 0.05
"""Seconds that an event waits for others at most."""

ENOUGH: Final = 256
"""Events of a turn that don't wait any longer."""

TOO_MANY: Final = 4_096
"""Unwritten events of a turn at which its worker is held up: the disk is too slow, or full."""

AFTER_ERROR: Final = 1.0
"""Seconds until the next try after the store could not be written."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Events of an attempt that readers have seen and the store has not."""

    claim: Claim
    events: Sequence[TurnEvent]


@dataclass(slots=True)
class _Part:
    """What one turn has in a flush: the first `count` events of the list `of`."""

    live: LiveTurn
    of: list[TurnEvent]
    count: int


class EventFlush:
    """Collects the turns with unwritten events; at most one flush is under way."""

    def __init__(
        self, submit: Callable[[Sequence[Unwritten]], asyncio.Future[None]], *, soon: float = SOON
    ) -> None:
        self._submit = submit
        self._soon = soon
        self._dirty: dict[LiveTurn, Claim] = {}
        self._under_way: asyncio.Future[None] | None = None
        self._parts: dict[LiveTurn, _Part] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, live: LiveTurn, claim: Claim) -> None:
        """`live` has new events."""
        self._dirty[live] = claim
        if len(live.unwritten) >= ENOUGH:
            self._start()
        else:
            self._start_in(self._soon)

    @staticmethod
    def is_behind(live: LiveTurn) -> bool:
        return len(live.unwritten) > TOO_MANY

    async def settled(self, live: LiveTurn) -> None:
        """Wait until no flush of `live` is under way; whether it worked shows in `live.unwritten`."""
        while self._under_way is not None and live in self._parts:
            await asyncio.wait({self._under_way})

    async def wait_for(self, live: LiveTurn) -> None:
        """Wait until what is unwritten of `live` now is durable, or was dropped with its attempt.

        Raises:
            EngineUnavailable: the store can't be written.
        """
        if not live.unwritten:
            return
        events, last = live.unwritten, live.unwritten[-1].seq
        while live.unwritten is events and events and events[0].seq <= last and not live.over:
            flush = self._under_way or self._start()
            if flush is None:
                # It is being committed: its events become durable with that.
                await live.change()
                continue
            await asyncio.wait({flush})
            if (error := flush.exception()) is not None:
                raise EngineUnavailable(str(error)) from error

    async def close(self) -> None:
        """Write what is left, as far as the store lets us."""
        self._closed = True
        while (flush := self._under_way or self._start()) is not None:
            await asyncio.wait({flush})
            if flush.exception() is not None:
                break
        self.drop()

    def drop(self) -> None:
        """Write nothing more."""
        self._closed = True
        self._dirty.clear()
        if self._timer is not None:
            self._timer.cancel()

    # --- inside ---

    def _start_in(self, seconds: float) -> None:
        if self._timer is None and self._under_way is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._start)

    def _start(self) -> asyncio.Future[None] | None:
        """Begin to write what all turns have; None: there is nothing to write."""
        if self._under_way is not None:
            return self._under_way
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._dirty = {live: claim for live, claim in self._dirty.items() if live.unwritten}
        ours = {live: claim for live, claim in self._dirty.items() if not live.committing}
        if not ours:
            return None
        flush = self._submit([Unwritten(claim, tuple(live.unwritten)) for live, claim in ours.items()])
        self._parts = {live: _Part(live, live.unwritten, len(live.unwritten)) for live in ours}
        self._under_way = flush
        flush.add_done_callback(self._done)
        return flush

    def _done(self, flush: asyncio.Future[None]) -> None:
        parts, self._parts = self._parts, {}
        self._under_way = None
        failed = flush.cancelled() or flush.exception() is not None
        if not failed:
            for part in parts.values():
                # A new attempt has a new list; cutting the old one then does no harm.
                del part.of[: part.count]
        if self._closed:
            return
        if failed:
            self._start_in(AFTER_ERROR)
        elif any(len(live.unwritten) >= ENOUGH for live in self._dirty):
            self._start()
        elif any(live.unwritten for live in self._dirty):
            self._start_in(self._soon)
