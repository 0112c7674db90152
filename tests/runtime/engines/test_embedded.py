"""The embedded engine keeps the promises of every engine, and its own."""

from __future__ import annotations

from pathlib import Path

from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_promises import EnginePromises


async def opened(folder: Path, bounds: Bounds | None = None) -> EmbeddedEngine:
    engine = EmbeddedEngine(folder, bounds=bounds)
    await engine.open()
    return engine


class TestEmbeddedEngine(EnginePromises):
    async def open_engine(self, folder: Path, bounds: Bounds) -> Engine:
        return await opened(folder, bounds)

    async def crash(self, engine: Engine) -> None:
        assert isinstance(engine, EmbeddedEngine)
        await engine.crash()
