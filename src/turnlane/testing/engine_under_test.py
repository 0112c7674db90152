"""How promises reach an engine: it is opened, its process dies, its clock goes on."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from turnlane.runtime.conversation import Turn
from turnlane.runtime.engine import Engine
from turnlane.runtime.limits import Bounds
from turnlane.testing.scripted_worker import PATIENCE, ScriptedWorker


class EngineUnderTest(ABC):
    """What a subclass must say of its engine, and the fixtures that all promises share."""

    pytestmark: ClassVar = [pytest.mark.anyio]

    @abstractmethod
    async def open_engine(self, folder: Path, bounds: Bounds) -> Engine:
        """An open engine over what `folder` stands for; the same folder means the same store."""

    @abstractmethod
    async def crash(self, engine: Engine) -> None:
        """Let the engine's process die, as by kill -9: what is not durable is gone."""

    async def advance(self, engine: Engine, seconds: float) -> None:
        """Let so much time go by. An engine whose clock a test can set has no need to wait for it."""
        await asyncio.sleep(seconds)

    def now(self, engine: Engine) -> float:
        """Seconds since the epoch, on the engine's clock."""
        return time.time()

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[Engine]:
        engine = await self.open_engine(tmp_path / "data", Bounds())
        yield engine
        await engine.close()

    @pytest.fixture
    async def worker(self, engine: Engine) -> ScriptedWorker:
        worker = ScriptedWorker()
        await engine.attach(worker)
        return worker

    async def _reopened(self, engine: Engine, tmp_path: Path, bounds: Bounds | None = None) -> Engine:
        """The same store, opened by another process after the first one died."""
        await self.crash(engine)
        return await self.open_engine(tmp_path / "data", bounds or Bounds())


async def ended(engine: Engine, turn_id: str) -> Turn:
    """The turn, when it has ended."""
    async with asyncio.timeout(PATIENCE):
        turn = await engine.wait(turn_id)
    assert turn is not None, f"there is no turn {turn_id}"
    return turn


async def seqs(engine: Engine, turn_id: str, *, after: int = -1, follow: bool = False) -> list[int]:
    """The numbers of a turn's events."""
    async with asyncio.timeout(PATIENCE):
        return [one.seq async for one in engine.events(turn_id, after=after, follow=follow)]
