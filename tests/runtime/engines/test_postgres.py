"""The engine of a cluster keeps the promises of every engine, on the newest PostgreSQL and on older ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import Phase, settings

from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.postgres import schema
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.runtime.engines.postgres.leases import PROCESS_LOCK
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_promises import EnginePromises
from turnlane.testing.postgres_server import PostgresServer

TEMPLATE = "turnlane_ready"


class TestPostgresEngine(EnginePromises):
    version: ClassVar[int] = 18

    # Making a failure short takes minutes over a server; the embedded engine's run has found most of them before.
    machine_settings: ClassVar = settings(
        EnginePromises.machine_settings, max_examples=10, phases=[Phase.explicit, Phase.generate]
    )

    @pytest.fixture(autouse=True)
    def _databases(self, postgres_servers: Callable[[int], PostgresServer]) -> Iterator[None]:
        """A database for each folder that a test names."""
        server = postgres_servers(self.version)
        template = server.template(TEMPLATE, lambda url: asyncio.run(schema.migrate(url)))
        made: dict[Path, str] = {}

        def url_of(folder: Path) -> str:
            if folder not in made:
                made[folder] = server.create_database(template=template)
            return server.url(made[folder])

        self.url_of = url_of
        yield
        for name in made.values():
            server.drop_database(name)

    async def open_engine(self, folder: Path, bounds: Bounds) -> Engine:
        # Without grace: no test lets a process only seem to die.
        engine = PostgresEngine(self.url_of(folder), bounds=bounds, tick=0.05, grace=0.0)
        await engine.open()
        return engine

    async def crash(self, engine: Engine) -> None:
        assert isinstance(engine, PostgresEngine)
        await engine.crash()
        # The server notices a moment later that the connections are gone; the next process then finds a free lock.
        watcher = await asyncpg.connect(engine.url)
        try:
            await watcher.fetch("SELECT pg_advisory_lock($1, $2)", PROCESS_LOCK, engine.process)
        finally:
            await watcher.close()


class TestPostgresEngineOnUvloop(TestPostgresEngine):
    """The loop that `turnlane serve` runs on, and Debian's PostgreSQL."""

    version = 15

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"use_uvloop": True}

    test_the_promises_hold_in_any_order_of_events = None  # type: ignore[assignment]  # it makes its own loop
