"""A pooler in transaction mode is told from a server and refused: it has neither LISTEN nor a session's locks."""

from __future__ import annotations

from typing import Final

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import Connection, connect, place_of

TRANSACTION_MODE: Final = (
    "{place} is a pooler in transaction mode, which drops LISTEN and the locks by which workers know who lives: "
    "give --engine the address of PostgreSQL itself, or a pool in session mode (Turnlane keeps its few "
    "connections open, a pool saves it nothing)"
)


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
    seen = {await _backend(first) for _ in range(3)}
    return len(seen) > 1 or await _backend(second) in seen


async def _backend(connection: Connection) -> int:
    async with connection.transaction():
        pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid
