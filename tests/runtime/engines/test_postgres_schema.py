"""The schema of PostgreSQL is made once, however many processes find the database empty."""

from __future__ import annotations

import asyncio

import pytest

from turnlane.runtime.engines.postgres import schema
from turnlane.runtime.engines.postgres.engine import PostgresEngine

pytestmark = pytest.mark.anyio


async def test_processes_that_find_an_empty_database_at_once_make_one_schema(postgres_url: str) -> None:
    engines = [PostgresEngine(postgres_url) for _ in range(6)]
    try:
        await asyncio.gather(*(engine.open() for engine in engines))
    finally:
        await asyncio.gather(*(engine.close() for engine in engines))
    assert await schema.version(postgres_url) == schema.VERSION


async def test_migrating_at_once_moves_it_once(postgres_url: str) -> None:
    moves = await asyncio.gather(*(schema.migrate(postgres_url) for _ in range(4)))
    assert sorted(moves, key=str) == [(schema.VERSION, schema.VERSION)] * 3 + [(None, schema.VERSION)]
