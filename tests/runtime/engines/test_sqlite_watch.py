"""The embedded engine says when its file can't be used, and notices by itself when it can again."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines import sqlite_watch
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.telemetry.events import add_sink
from turnlane.testing.scripted_worker import first_turn

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_watch, "PROBE_PAUSE", 0.01)
    monkeypatch.setattr(sqlite_watch, "QUIET", 0.0)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(tmp_path)
    await engine.open()
    yield engine
    await engine.close()


@pytest.fixture
def told() -> Iterator[list[str]]:
    heard: list[str] = []

    def sink(name: str, fields: Any) -> None:
        if name.startswith("engine."):
            heard.append(name)

    remove = add_sink(sink)
    yield heard
    remove()


async def limit(engine: EmbeddedEngine, pages: int) -> None:
    """The file may have so many pages, or as many as it has."""
    await engine._writer.submit(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def full(engine: EmbeddedEngine) -> None:
    await limit(engine, 1)
    with pytest.raises(EngineUnavailable, match="is full"):
        await engine.accept(first_turn("x" * 50_000))


async def test_a_full_disk_is_trouble_until_something_was_written(engine: EmbeddedEngine, told: list[str]) -> None:
    assert engine.trouble is None
    await full(engine)
    assert engine.trouble is not None
    assert "free some space" in engine.trouble
    with pytest.raises(EngineUnavailable):
        await engine.accept(first_turn("x" * 50_000))
    await limit(engine, 1_000_000)
    async with asyncio.timeout(10):
        while engine.trouble is not None:
            await asyncio.sleep(0.005)
    assert told == ["engine.trouble", "engine.back"]


async def test_small_changes_between_large_ones_do_not_end_it(
    engine: EmbeddedEngine, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._watch._outage, "_quiet", 60.0)
    for _ in range(3):
        await full(engine)
        await engine.lanes()
    assert engine.trouble is not None
    assert told == ["engine.trouble"]


async def test_a_refusal_and_a_closed_engine_are_no_trouble(engine: EmbeddedEngine, told: list[str]) -> None:
    assert await engine.cancel("resp_none") is None
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await engine.turn("resp_none")
    assert engine.trouble is None
    assert told == []


async def test_a_writer_that_died_is_trouble(engine: EmbeddedEngine, told: list[str]) -> None:
    def dies(connection: Any) -> None:
        raise SystemExit

    with pytest.raises(EngineUnavailable, match="died"):
        await engine._writer.submit(dies)
    assert engine.trouble is not None
    assert "restart" in engine.trouble
    assert told == ["engine.trouble"]


async def test_a_probe_writes_and_changes_nothing(engine: EmbeddedEngine) -> None:
    def dump(connection: Any) -> Any:
        version = connection.execute("PRAGMA user_version").fetchone()
        return version, connection.execute("SELECT name FROM sqlite_schema").fetchall()

    before = await engine._writer.submit(dump)
    size = (engine.folder / "turnlane.db-wal").stat().st_size
    files = sorted(engine.folder.iterdir())
    await engine._writer.submit(partial(sqlite_watch.write_something, engine.path))
    assert await engine._writer.submit(dump) == before
    assert (engine.folder / "turnlane.db-wal").stat().st_size > size
    assert sorted(engine.folder.iterdir()) == files


async def test_a_probe_notices_that_the_database_or_its_disk_has_no_room(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = partial(sqlite_watch.write_something, engine.path)
    await limit(engine, 1)
    with pytest.raises(EngineUnavailable, match="is full"):
        await engine._writer.submit(probe)
    await limit(engine, 1_000_000)
    await engine._writer.submit(probe)

    def full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sqlite_watch.os, "fsync", full_disk)
    with pytest.raises(EngineUnavailable, match="No space left"):
        await engine._writer.submit(probe)
    assert not list(engine.folder.glob("*-probe"))
