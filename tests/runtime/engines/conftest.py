from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from turnlane.runtime.engines.embedded import EmbeddedEngine

Opener: TypeAlias = Callable[[Path], Awaitable[EmbeddedEngine]]


@pytest.fixture
def opened() -> Opener:
    """Opens the embedded engine of a folder."""

    async def open_it(folder: Path) -> EmbeddedEngine:
        engine = EmbeddedEngine(folder)
        await engine.open()
        return engine

    return open_it
