"""That this process lives, and which others don't: heartbeats, and the turns of the dead."""

from __future__ import annotations

import asyncio
import math
import os
import random
import socket
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import turnlane
from turnlane.runtime.engines.postgres.connection import COMMAND_TIMEOUT, Connection, Link
from turnlane.runtime.engines.postgres.working import Hold
from turnlane.telemetry.outage import Outage

PROCESS_LOCK: Final = 1_953_853_039
"""Class of the advisory locks that living processes hold ("turo" + 1)."""

QUIET: Final = 2.0
"""After an outage nobody's turns are taken over for so many times the grace: their owners are coming back, too."""

SHORTEST_PATIENCE: Final = 0.5
"""Seconds at least that a statement may take here. Else a third of the lease: after a silent connection there has
to be time for another one."""


class Living(Protocol):
    """What the engine hears from here."""

    def holding(self) -> Sequence[Hold]:
        """What this process believes to own."""
        ...

    def owned(self, held: Sequence[Hold], rows: Sequence[Any]) -> None:
        """What it does own of `held`, as rows of turn, receipt and stop_asked."""
        ...

    def gone(self, processes: Sequence[int]) -> None:
        """The turns of these processes have to be put back."""
        ...

    def look_around(self) -> None:
        """Once a tick: look for what a lost notice may have told."""
        ...


class Leases(Link):
    """The connection that says by a lock that this process lives; it also extends the leases of what it runs.

    Args:
        lease: seconds after which a process that was not heard of has lost its turns.
        tick: seconds between two looks at the others.
        grace: seconds that a process's lock must have been free before it counts as dead: time to reconnect.
    """

    def __init__(
        self, url: str, outage: Outage, living: Living, *, lease: float, tick: float, grace: float
    ) -> None:
        super().__init__(url, outage)
        self.process = 0
        self.lease = lease
        self.quiet_until = 0.0
        """On the clock of `time.monotonic`: until then nobody's turns are taken over."""
        self._living = living
        self._tick = tick
        self._grace = grace
        self._extended_at = 0.0
        self._searched_at = 0.0
        self._beat_at = time.monotonic()
        self._patience = min(COMMAND_TIMEOUT, max(SHORTEST_PATIENCE, lease / 3))
        self._heard: dict[int, tuple[Any, float]] = {}
        """Of each other process: when it was seen last, and since when that is so by the clock of this one."""
        self._locked = False
        self._sure_until = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Register this process.

        Raises:
            asyncpg's errors, OSError, TimeoutError
        """
        async with self.use() as connection:
            await self._beat(connection)
        self._task = asyncio.get_running_loop().create_task(self._live(), name="turnlane postgres leases")

    async def stop(self, *, goodbye: bool = True) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if self._expiry is not None:
            self._expiry.cancel()
        if not goodbye:
            self.drop()
            return
        try:
            async with asyncio.timeout(2), self.use() as connection:
                # What could not be given back is found by the others through this row.
                await connection.execute(
                    """DELETE FROM turnlane.process WHERE n = $1
                    AND NOT EXISTS (SELECT FROM turnlane.work WHERE process = $1)""",
                    self.process,
                )
        except Exception:
            self.drop()
        await self.close()

    @property
    def sure(self) -> bool:
        """Whether others believe that this process lives. If not, what it claims may be taken over at once."""
        return time.monotonic() < self._sure_until

    def hasten(self) -> None:
        """Extend the leases at the next tick, whenever they were extended last."""
        self._extended_at = 0.0

    async def prepare(self, connection: Connection) -> Connection:
        back = self.process != 0
        # Else the server would let go of the lock of one that is cut off before that one lets go of its turns.
        await connection.execute(f"SET tcp_keepalives_idle = {max(5, math.ceil(self.lease))}")
        just_started = await self._register(connection)
        self._locked = False
        await self._lock(connection)
        if back or just_started:
            self._wait_for_others()
        self.hasten()
        return connection

    # --- inside ---

    async def _register(self, connection: Connection) -> bool:
        """Be known to the others. Returns whether the server has just started."""
        row = await connection.fetchrow(
            """INSERT INTO turnlane.process (n, host, pid, program, lease) OVERRIDING SYSTEM VALUE
            VALUES (coalesce(nullif($1, 0), nextval(pg_get_serial_sequence('turnlane.process', 'n'))::integer),
                $2, $3, $4, $5)
            ON CONFLICT (n) DO UPDATE SET seen_at = clock_timestamp(), missing_since = NULL
            RETURNING n,
                clock_timestamp() - pg_postmaster_start_time() < make_interval(secs => 5) AS just_started""",
            self.process,
            socket.gethostname(),
            os.getpid(),
            f"turnlane {turnlane.__version__}",
            self.lease,
        )
        assert row is not None
        self.process = row["n"]
        return bool(row["just_started"])

    async def _lock(self, connection: Connection) -> None:
        # It may not be free yet: the server has not noticed that the connection before this one is dead.
        if self._locked:
            return
        self._locked = await connection.fetchval(
            "SELECT pg_try_advisory_lock($1, $2)", PROCESS_LOCK, self.process, timeout=self._patience
        )
        if self._locked:
            await self._register(connection)  # while the lock was free somebody may have struck it off

    def _wait_for_others(self) -> None:
        """They were away as well, or seemed to be, and are coming back."""
        self.quiet_until = time.monotonic() + QUIET * self._grace
        self._heard.clear()

    async def _live(self) -> None:
        while True:
            # Not all processes at the same moment.
            await asyncio.sleep(self._tick * random.uniform(0.8, 1.2))
            try:
                async with self.use() as connection:
                    await self._beat(connection)
            except Exception:  # noqa: S112
                # Told by `use` when the database is away; the next tick tries again.
                continue
            self._living.look_around()

    async def _beat(self, connection: Connection) -> None:
        await self._lock(connection)
        for _ in range(2):  # once more when the first was so long on its way that it is due again
            if time.monotonic() - self._extended_at >= self.lease / 3:
                await self._extend(connection)
        self._mind_own_absence()
        if time.monotonic() < self.quiet_until:
            return
        others = await connection.fetch(
            "SELECT * FROM turnlane.others($1, $2)", self.process, self._grace, timeout=self._patience
        )
        dead = [row["n"] for row in others if row["dead"]]
        if gone := [*dead, *self._silent(others), *await self._strangers(connection)]:
            self._living.gone(gone)
        if dead:
            await connection.execute(
                """DELETE FROM turnlane.process p WHERE p.n = ANY ($1) AND p.missing_since IS NOT NULL
                AND NOT EXISTS (SELECT FROM turnlane.work w WHERE w.process = p.n)""",
                dead,
            )

    async def _extend(self, connection: Connection) -> None:
        asked_at = time.monotonic()
        held = self._living.holding()
        found = await connection.fetch(
            "SELECT * FROM turnlane.extend($1, $2)", self.process, self.lease, timeout=self._patience
        )
        self._extended_at = asked_at
        self._expire_at(asked_at + self.lease)
        self._living.owned(held, found)

    def _expire_at(self, when: float) -> None:
        """Others count the lease from when the database heard of us: later than we asked, so we let go first."""
        self._sure_until = when
        if self._expiry is not None:
            self._expiry.cancel()
        seconds = max(0.0, when - time.monotonic())
        self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        """Nobody heard of this process for a whole lease: what it ran may run elsewhere."""
        self._living.owned(self._living.holding(), ())

    def _mind_own_absence(self) -> None:
        """Whoever has not looked for long can't tell whether the others or the database were away."""
        now = time.monotonic()
        if now - self._beat_at > max(self.lease / 2, 3 * self._tick):
            self._wait_for_others()
        self._beat_at = now

    async def _strangers(self, connection: Connection) -> list[int]:
        """Owners that nobody knows any more; looked for as seldom as leases are extended."""
        now = time.monotonic()
        if now - self._searched_at < self.lease / 3:
            return []
        self._searched_at = now
        found = await connection.fetch("SELECT n FROM turnlane.strangers()", timeout=self._patience)
        return [row["n"] for row in found]

    def _silent(self, others: Sequence[Any]) -> list[int]:
        """Those that hold their lock and were not heard of for their whole lease; by the clock of this process, as
        the database's may have been set."""
        if not others:
            return []  # somebody else looks at this moment
        now = time.monotonic()
        before = self._heard
        self._heard = {
            row["n"]: before[row["n"]]
            if row["n"] in before and before[row["n"]][0] == row["seen_at"]
            else (row["seen_at"], now)
            for row in others
            if not row["dead"]
        }
        leases = {row["n"]: row["lease"] for row in others}
        return [n for n, (_, since) in self._heard.items() if now - since > leases[n]]
