"""Records what an attempt did, for the next one: in order, one call to the engine at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import LedgerEntry
from turnlane.runtime.engine import Engine, EngineUnavailable, NotJson, OwnershipLost

LINGER: Final = 0.005
"""Seconds that a model's answer waits for company. Most turns end within them of their last answer, and what the
turn's own commit makes useless is never written. What a tool did is written at once."""

RETRY_PAUSE: Final = 0.5
"""Seconds between tries while the store can't be written."""

LAST_CALL: Final = 1.0
"""Seconds that a call under way gets to end by itself once its attempt is over."""


class Records:
    """The recorder of one attempt (see `turnlane.runtime.turn_ledger.Recorder`).

    Entries wait while the store is unavailable; an attempt that lost its turn is stopped.
    """

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run
        self._waiting: list[LedgerEntry] = []
        self._added = 0
        self._kept = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self._bug: Exception | None = None

    def add(self, entry: LedgerEntry) -> None:
        """Keep an entry soon."""
        if self._over:
            return
        self._waiting.append(entry)
        self._added += 1
        if entry.kind == "tool":
            self._start()
        elif self._task is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._start)

    async def durable(self) -> None:
        """Return when everything added before is kept; never when the attempt no longer owns its turn.

        Raises:
            Exception: a bug of the engine; nothing is recorded any more.
        """
        if self._kept >= self._added and not self._over:
            return
        if self._bug is not None:
            raise self._bug
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._added, kept))
        self._start()
        await kept

    def end(self) -> None:
        """Begin no more calls: the turn's end makes useless what is not written yet."""
        self._over = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def settle(self) -> None:
        """Write what waits, if the store can be written soon: the turn is given back and runs again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_CALL):
                await self.durable()

    async def close(self) -> None:
        """Let go of a call that is under way. Never raises."""
        self.end()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=LAST_CALL)
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self._waiting and not self._over:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting and not self._over:
                batch, self._waiting = self._waiting, []
                await self._keep(batch)
                self._kept += len(batch)
                self._tell()
        except OwnershipLost:
            self.end()
            self._run.stop.set("lost")
        except Exception as error:
            self._fail(error)
        finally:
            self._task = None

    async def _keep(self, batch: list[LedgerEntry]) -> None:
        while not self._over:
            try:
                await self._engine.record(self._run.claim, batch)
            except NotJson:
                if len(batch) == 1:
                    return  # an answer that no store takes; the next attempt asks again
                for entry in batch:
                    await self._keep([entry])
                return
            except EngineUnavailable:
                await asyncio.sleep(RETRY_PAUSE)
            else:
                return

    def _tell(self) -> None:
        waiting = []
        for count, kept in self._waiters:
            if count > self._kept:
                waiting.append((count, kept))
            elif not kept.done():
                kept.set_result(None)
        self._waiters = waiting

    def _fail(self, error: Exception) -> None:
        """A bug: whoever waits must hear of it, or waits for ever."""
        self.end()
        self._bug = error
        for _, kept in self._waiters:
            if not kept.done():
                kept.set_exception(error)
