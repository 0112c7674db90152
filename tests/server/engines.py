"""The engines that every test of the server runs on, each as an opener of fresh ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.limits import Bounds

if TYPE_CHECKING:
    from turnlane.testing.postgres_server import PostgresServer

OpenEngine = Callable[[Path, Bounds | None], AbstractAsyncContextManager[Engine]]
"""An open engine with nothing in it. The folder is the test's own."""


def another(engine: Engine) -> Engine:
    """A second engine on the store of one that is closed; not open."""
    if isinstance(engine, EmbeddedEngine):
        return EmbeddedEngine(engine.folder)
    return type(engine)(engine.url)  # type: ignore[attr-defined]


def place(engine: Engine) -> str:
    """Where its store is, which is nobody's business but the operator's."""
    return str(engine.path) if isinstance(engine, EmbeddedEngine) else engine.url  # type: ignore[attr-defined]


@asynccontextmanager
async def embedded(folder: Path, bounds: Bounds | None) -> AsyncIterator[Engine]:
    engine = EmbeddedEngine(folder, bounds=bounds)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def postgresql(server: PostgresServer) -> OpenEngine:
    """Each engine gets a database of its own, copied from one that has the schema."""
    from turnlane.runtime.engines.postgres import schema
    from turnlane.runtime.engines.postgres.engine import PostgresEngine

    template = server.template("turnlane_ready", lambda url: asyncio.run(schema.migrate(url)))

    @asynccontextmanager
    async def opened(folder: Path, bounds: Bounds | None) -> AsyncIterator[Engine]:
        name = server.create_database(template=template)
        engine = PostgresEngine(server.url(name), bounds=bounds)
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()
            server.drop_database(name)

    return opened
