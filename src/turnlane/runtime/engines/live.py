"""A turn that has not ended, as those on the event loop see it who wait for it or read its events."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, Claim, Turn, TurnEvent
from turnlane.runtime.engine import EngineUnavailable

TAIL: Final = 1_000
"""Events of a running turn that stay in memory; a reader who is further behind is fed from the store."""


class LiveTurn:
    """The tail of the running attempt's events, and who is to be woken when something changes."""

    __slots__ = (
        "_changed",
        "_over",
        "_tail",
        "attempt",
        "committing",
        "deleted",
        "ended",
        "failed",
        "floor",
        "id",
        "last_seq",
        "tail_after",
        "unwritten",
    )

    def __init__(self, turn_id: str) -> None:
        self.id = turn_id
        self.attempt: int | None = None
        """The attempt that runs; None while the turn waits."""
        self.floor = 0
        """The first event number that is not superseded."""
        self.tail_after = -1
        """All events of the attempt with a higher number are in the tail."""
        self.last_seq = -1
        self.unwritten: list[TurnEvent] = []
        """Events that readers have seen and the store has not."""
        self.committing = False
        self.ended: Turn | None = None
        self.deleted = False
        self.failed: EngineUnavailable | None = None
        self._tail: list[TurnEvent] = []
        self._changed: asyncio.Event | None = None
        self._over: asyncio.Event | None = None

    # --- what the engine reports ---

    def begin(self, claim: Claim) -> None:
        self.attempt = claim.attempt
        self._start_at(claim.first_seq)

    def requeue(self) -> None:
        assert self.attempt is not None
        self._start_at(self.attempt * EVENTS_PER_ATTEMPT)
        self.attempt = None

    def show(self, events: Sequence[TurnEvent]) -> None:
        """Give events to the readers; they have yet to be stored.

        Raises:
            ValueError: their numbers don't rise, or belong to another attempt.
        """
        self._check_numbers(events)
        self.unwritten.extend(events)
        self._append(events)

    def follow(self, floor: int, last_seq: int) -> None:
        """Another process runs the turn: its events from `floor` to `last_seq` can be read in the store."""
        if floor > self.floor:
            self._start_at(floor)
        if last_seq > self.last_seq:
            self.tail_after = self.last_seq = last_seq
            self._tail = []
            self._wake()

    def finish(self, turn: Turn, events: Sequence[TurnEvent]) -> None:
        """The turn has ended; `events` are stored and were not shown before."""
        if events and events[0].seq >= self.floor + EVENTS_PER_ATTEMPT:
            # It was given back and ended without another attempt: what was said is superseded.
            self._start_at(events[0].seq)
        self.ended = turn
        self.unwritten = []
        self._append([event for event in events if event.seq > self.last_seq])
        self._end()

    def delete(self) -> None:
        self.deleted = True
        self.attempt = None
        self._end()

    def fail(self, reason: EngineUnavailable) -> None:
        """The engine is gone: nobody will report the end."""
        self.failed = reason
        self._end()

    # --- what readers ask ---

    @property
    def over(self) -> bool:
        return self.ended is not None or self.deleted or self.failed is not None

    def since(self, seq: int) -> list[TurnEvent]:
        """The events of the tail with a higher number."""
        return self._tail[bisect_right(self._tail, seq, key=lambda event: event.seq) :]

    async def change(self) -> None:
        """Wait until something happens. What has happened must be looked at before, without an await between."""
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    async def end(self) -> None:
        """Wait until the turn is over.

        Raises:
            EngineUnavailable: the engine was closed or died.
        """
        if not self.over:
            if self._over is None:
                self._over = asyncio.Event()
            await self._over.wait()
        if self.failed is not None:
            raise EngineUnavailable(str(self.failed))

    # --- inside ---

    def _start_at(self, seq: int) -> None:
        self.floor = seq
        self.tail_after = self.last_seq = seq - 1
        self._tail = []
        self.unwritten = []
        self.committing = False
        self._wake()

    def _check_numbers(self, events: Sequence[TurnEvent]) -> None:
        last = self.last_seq
        for event in events:
            if not last < event.seq < self.floor + EVENTS_PER_ATTEMPT:
                raise ValueError(
                    f"event {event.seq} of turn {self.id} does not follow {last} in attempt {self.attempt}: "
                    "numbers rise from Claim.first_seq"
                )
            last = event.seq

    def _append(self, events: Sequence[TurnEvent]) -> None:
        if not events:
            return
        self._tail.extend(events)
        self.last_seq = events[-1].seq
        # Cut in large steps: cutting one event at a time would move the whole list each time.
        if len(self._tail) > 2 * TAIL:
            self.tail_after = self._tail[-TAIL - 1].seq
            del self._tail[:-TAIL]
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    def _end(self) -> None:
        self._wake()
        if self._over is not None:
            self._over.set()


async def events_of(
    live: LiveTurn,
    after: int,
    read: Callable[[LiveTurn, int], Awaitable[Sequence[TurnEvent]]],
    *,
    follow: bool,
) -> AsyncGenerator[TurnEvent, None]:
    """The events of a live turn behind `after`, as `Engine.events` promises them.

    Args:
        read: gives the next events behind a number that exist, from the tail or the store.

    Raises:
        EngineUnavailable: the engine was closed or died.
    """
    while True:
        after = max(after, live.floor - 1)
        if live.deleted:
            return
        for event in await read(live, after):
            if event.seq < live.floor:
                break  # superseded while the reader was busy with the event before
            yield event
            after = event.seq
        if after < live.last_seq:
            continue
        # From here to `change` nothing may be awaited, else a change is missed.
        if live.failed is not None:
            raise EngineUnavailable(str(live.failed))
        if live.over or not follow:
            return
        await live.change()
