"""Clients of the practice provider: the real openai package, and a raw one for what it refuses to send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from openai import AsyncOpenAI

from turnlane.practice import PracticeProvider


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def openai_client(anyio_backend: str) -> AsyncIterator[Callable[..., AsyncOpenAI]]:
    """Makes clients that do not retry, and closes them."""
    made: list[AsyncOpenAI] = []

    def make(provider: PracticeProvider, **options: object) -> AsyncOpenAI:
        settings = {"max_retries": 0, "timeout": 10.0, **options}
        made.append(AsyncOpenAI(base_url=provider.base_url, api_key="sk-secret", **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def raw_client(anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=10.0) as client:
        yield client
