"""A pooler in transaction mode is told from a server and refused: it has neither LISTEN nor a session's locks."""

from __future__ import annotations

from typing import Final

from asyncpg import exceptions as pg

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import TRANSACTION_MODE, Connection, connect, place_of

LOOKS: Final = 8
"""A busy pooler may give a client the same backend again by chance, but not so often."""

_NO_SESSION: Final = (pg.InvalidSQLStatementNameError, pg.DuplicatePreparedStatementError)
"""What was prepared on one backend is asked of another."""


async def refuse_transaction_mode(url: str) -> None:
    """Raises: EngineUnavailable for such a pooler; asyncpg's errors when the database can't be reached."""
    first = await connect(url)
    try:
        # A pooler answers the start-up itself, with a process number of its own.
        if await _backend(first) == first.get_server_pid():
            return
        second = await connect(url)
        try:
            shared = await _share_a_backend(first, second)
        finally:
            second.terminate()
    finally:
        first.terminate()
    if shared:
        raise EngineUnavailable(TRANSACTION_MODE.format(place=place_of(url)))


async def _share_a_backend(first: Connection, second: Connection) -> bool:
    """Whether two open connections are served by one backend in turn; in session mode each has its own."""
    try:
        own = await _backend(first)
        for _ in range(LOOKS):
            # Two looks of the second: a pooler that takes turns must not come out even.
            others = {await _backend(second), await _backend(second)}
            if own in others or await _backend(first) != own:
                return True
    except _NO_SESSION:
        return True
    return False


async def _backend(connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid
