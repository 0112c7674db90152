"""Whether a pooler in between gives a connection a server session of its own, without which the engine can't work.

The lock by which others see that a process lives, LISTEN and prepared statements belong to a session. pgbouncer's
transaction mode takes them away without an error: a process would count as dead while it runs.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import asyncpg
from asyncpg import exceptions as pg

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import COMMAND_TIMEOUT, CONNECT_TIMEOUT, Connection, place_of

_MARK: Final = "SELECT set_config('turnlane.session', $1, false)"
_READ: Final = "SELECT current_setting('turnlane.session', true)"

_LOOKS: Final = 8
"""A busy pooler may give somebody the same session again by chance, but not so often."""

_NO_SESSION: Final = (pg.InvalidSQLStatementNameError, pg.DuplicatePreparedStatementError)
"""A statement was prepared in another session, or in this one by another client."""


async def refuse_shared_sessions(connection: Connection, url: str) -> None:
    """Refuse a pooler whose clients share server sessions. One round trip when there is none.

    Raises:
        EngineUnavailable: says what to change.
        asyncpg's errors, OSError, TimeoutError.
    """
    if await _is_shared(connection, url):
        raise EngineUnavailable(
            f"{place_of(url)} is behind a pooler whose clients share sessions (pgbouncer's transaction mode), "
            "where locks and notifications get lost: set pool_mode = session for this database, or connect to "
            "PostgreSQL directly"
        )


async def _is_shared(connection: Connection, url: str) -> bool:
    try:
        # A pooler announces a number of its own in place of the server's process.
        if await connection.fetchval("SELECT pg_backend_pid()") == connection.get_server_pid():
            return False
        return await _is_given_to_another(connection, url)
    except _NO_SESSION:
        return True


async def _is_given_to_another(connection: Connection, url: str) -> bool:
    """Whether a second client ever gets the marked session, or leaves the first with another one."""
    mark = uuid4().hex
    await connection.fetchval(_MARK, mark)
    other = await asyncpg.connect(
        url, timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, statement_cache_size=0
    )
    try:
        for _ in range(_LOOKS):
            # Two looks of the other one: a pooler that takes turns must not come out even.
            seen = [await other.fetchval(_READ), await other.fetchval(_READ)]
            if mark in seen or await connection.fetchval(_READ) != mark:
                return True
        return False
    finally:
        other.terminate()
