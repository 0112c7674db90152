"""pgbouncer for tests: statements go through it, as its mode says."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import pytest

from turnlane.testing.pooler import Pooler, PoolMode
from turnlane.testing.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio


async def backend_of_each(connections: list[asyncpg.Connection]) -> list[int]:
    # Without a prepared statement: a pooler may send its use to another backend.
    answers = [await connection.fetchval("SELECT pg_backend_pid()") for connection in connections]
    return [int(answer) for answer in answers]


@pytest.mark.parametrize(("mode", "backends"), [("session", 2), ("transaction", 1)])
async def test_backends_are_shared_as_the_mode_says(
    postgres_server: PostgresServer, open_pooler: Callable[..., Pooler], mode: PoolMode, backends: int
) -> None:
    url = open_pooler(postgres_server, mode).url("postgres")
    connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]
    try:
        assert len(set(await backend_of_each(connections))) == backends
    finally:
        for connection in connections:
            connection.terminate()
