"""Limits per provider that all workers share, kept in PostgreSQL: one row for each provider.

A row is changed by compare and set, never under a lock that is held over a round trip: a worker that is frozen
between reading and writing must not stop the others. The table is not logged: what is learned about a provider
need not survive a crash of the database, and so a change costs no fsync.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from turnlane.runtime.engine import EngineUnavailable

T = TypeVar("T")

CHANNEL: Final = "turnlane_limits"

_READ: Final = """
SELECT version, state, extract(epoch FROM clock_timestamp())::float8 AS now
FROM (SELECT 1) AS one LEFT JOIN turnlane.provider_limits ON provider = $1
"""
_CREATE: Final = """
INSERT INTO turnlane.provider_limits (provider, version, state) VALUES ($1, 1, $2)
ON CONFLICT DO NOTHING RETURNING version
"""
_REPLACE: Final = """
UPDATE turnlane.provider_limits SET version = version + 1, state = $2
WHERE provider = $1 AND version = $3 RETURNING version
"""

TRIES: Final = 30
"""Changes of others that one change may collide with. A hundred workers that begin at once need about ten."""

FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.064
"""Seconds before a change that collided is tried again: at random below these, doubled with each collision."""


class Sql(Protocol):
    """What is asked of the engine: statements, and notifications outside of its transactions."""

    async def fetch(self, sql: str, *args: Any) -> Sequence[Mapping[str, Any]]:
        """Run one statement in a transaction of its own (autocommit) on any connection; its rows.

        Raises:
            EngineUnavailable: the database can't be used, or does not answer in bounded time.
        """
        ...

    async def notify(self, channel: str, payload: str) -> None:
        """`pg_notify` in a transaction of its own, on the connection that the engine keeps for that.

        Raises:
            EngineUnavailable
        """
        ...

    def subscribe(self, channel: str, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(payload)` on the event loop for each notification, also after reconnecting.

        Returns a function that ends it. It may be called before the first connection is there.
        """
        ...


class PostgresSharedLimits:
    """`turnlane.runtime.shared_limits.SharedLimits` over PostgreSQL."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def update(self, provider: str, change: Callable[[str | None, float], tuple[str, T]]) -> T:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))
            row = (await self._sql.fetch(_READ, provider))[0]
            text, result = change(row["state"], row["now"])
            if row["version"] is None:
                written = await self._sql.fetch(_CREATE, provider, text)
            else:
                written = await self._sql.fetch(_REPLACE, provider, text, row["version"])
            if written:
                return result
        raise EngineUnavailable(f"the shared limits of {provider} are changed by too many workers at once")

    async def announce(self, provider: str, news: str) -> None:
        await self._sql.notify(CHANNEL, json.dumps([provider, news]))

    def listen(self, hear: Callable[[str, str], None]) -> Callable[[], None]:
        return self._sql.subscribe(CHANNEL, lambda payload: hear(*json.loads(payload)))
