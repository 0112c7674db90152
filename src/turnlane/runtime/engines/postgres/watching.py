"""Turns that run or are watched in this process, as those see them who wait for their ends or read events."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from turnlane.runtime.conversation import Claim, Turn
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.live import LiveTurn
from turnlane.runtime.engines.postgres import rows
from turnlane.runtime.engines.postgres.reading import Reader, on


class Watching:
    """The live turns. One that runs here is told by its worker, all others by notices and looks at the database.

    Args:
        runs_here: whether a turn runs in this process.
        deleted: called for a turn that is gone.
        spawn: runs a task in the background, as long as the engine is open.
    """

    def __init__(
        self,
        reader: Reader,
        runs_here: Callable[[str], bool],
        deleted: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._reader = reader
        self._runs_here = runs_here
        self._deleted = deleted
        self._spawn = spawn
        self._live: dict[str, LiveTurn] = {}
        self._watchers: Counter[str] = Counter()
        self._refreshing: dict[str, bool] = {}
        """Turns to be looked at; True: somebody told that they have ended."""

    def __contains__(self, turn_id: str) -> bool:
        return turn_id in self._live

    # --- what the engine reports ---

    def begin(self, claim: Claim) -> LiveTurn:
        """An attempt begins here."""
        live = self._live.setdefault(claim.turn.id, LiveTurn(claim.turn.id))
        live.begin(claim)
        return live

    def follow(self, turn_id: str, floor: int, last_seq: int) -> None:
        """Another process has stored events of a turn."""
        live = self._live.get(turn_id)
        if live is not None and live.attempt is None:
            live.follow(floor, last_seq)

    def delete(self, turn_id: str) -> None:
        if (live := self._live.get(turn_id)) is not None:
            live.delete()
            self.forget(turn_id)

    def forget(self, turn_id: str) -> None:
        """Keep a turn no longer than somebody watches it, or it runs here."""
        if turn_id not in self._watchers and not self._runs_here(turn_id):
            self._live.pop(turn_id, None)

    def fail(self, reason: EngineUnavailable) -> None:
        """The engine is gone."""
        for live in list(self._live.values()):
            live.fail(reason)
        self._live.clear()

    # --- watching ---

    @asynccontextmanager
    async def watch(self, turn_id: str) -> AsyncIterator[tuple[LiveTurn | None, Turn | None]]:
        """The turn as something to wait for; (None, turn): it has ended, or (None, None): there is none."""
        self._watchers[turn_id] += 1
        try:
            live = self._live.get(turn_id)
            if live is None or live.attempt is None:
                live = self._live.setdefault(turn_id, LiveTurn(turn_id))
                if not await self._look([turn_id]):
                    yield None, None
                    return
                if live.ended is not None:
                    yield None, live.ended
                    return
            yield live, None
        finally:
            self._watchers[turn_id] -= 1
            if not self._watchers[turn_id]:
                del self._watchers[turn_id]
                self.forget(turn_id)

    # --- looking ---

    def refresh_all(self) -> None:
        """Look at everything that is watched and does not run here."""
        self.refresh([turn_id for turn_id in self._watchers if not self._runs_here(turn_id)])

    def refresh(self, turn_ids: Sequence[str], *, ended: bool = False) -> None:
        """Look at turns again soon; those that are gone were deleted.

        Args:
            ended: somebody told that they have ended; saves a look whether they have.
        """
        wanted = [turn_id for turn_id in turn_ids if turn_id in self._live]
        if not wanted:
            return
        start = not self._refreshing
        for turn_id in wanted:
            self._refreshing[turn_id] = self._refreshing.get(turn_id, False) or ended
        if start:
            self._spawn(self._refresh())

    async def _refresh(self) -> None:
        while self._refreshing:
            wanted = dict(self._refreshing)
            try:
                await self._look([turn_id for turn_id, ended in wanted.items() if ended])
                if unsure := [turn_id for turn_id, ended in wanted.items() if not ended]:
                    await self._glance(unsure)
            except Exception as error:
                self._refreshing.clear()  # the next tick looks again
                if isinstance(error, EngineUnavailable):
                    return
                raise
            for turn_id, ended in wanted.items():
                if self._refreshing[turn_id] == ended:
                    del self._refreshing[turn_id]

    async def _glance(self, wanted: Sequence[str]) -> None:
        """Look how far the turns are; what they hold is read only of those that have ended."""
        found = await self._reader.read(partial(on(rows.glance_at), wanted))
        await self._look([glance.id for glance in found if glance.ended and glance.id in self._live])
        for glance in found:
            live = self._live.get(glance.id)
            if live is not None and not live.over and not self._runs_here(glance.id):
                live.follow(glance.floor, glance.last_seq)
        for turn_id in {*wanted} - {glance.id for glance in found}:
            self._deleted(turn_id)

    async def _look(self, turn_ids: Sequence[str]) -> list[rows.Look]:
        """Read turns, and tell those who wait for them how far they are."""
        if not turn_ids:
            return []
        looks = await self._reader.read(partial(on(rows.look_at), turn_ids))
        for look in looks:
            live = self._live.get(look.turn.id)
            if live is None or live.over or self._runs_here(look.turn.id):
                continue
            live.follow(look.floor, look.last_seq)
            if look.turn.ended:
                live.finish(look.turn, ())
        return looks
