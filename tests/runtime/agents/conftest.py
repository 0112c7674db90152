"""Real AutoGen, the real openai client, real HTTP: only the model's words are scripted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.practice import PracticeProvider
from turnlane.runtime.agents import openai_client
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.testing.turns import Talk


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def provider() -> Iterator[PracticeProvider]:
    """In a thread of its own, so that the test's loop has no tasks but the agent's."""
    with PracticeProvider.in_thread(lambda request: f"heard: {request.user_message}") as provider:
        yield provider


@pytest.fixture
async def adapter(anyio_backend: str) -> AsyncIterator[AgentchatAdapter]:
    adapter = AgentchatAdapter()
    yield adapter
    await adapter.close()


@pytest.fixture
def client(provider: PracticeProvider) -> Callable[..., OpenAIChatCompletionClient]:
    """Makes model clients as users' factories do."""

    def make(model: str = "gpt-4o-mini", **options: Any) -> OpenAIChatCompletionClient:
        options = {"base_url": provider.base_url, "api_key": "practice", **options}
        return OpenAIChatCompletionClient(model=model, **options)

    return make


@pytest.fixture
def talk(adapter: AgentchatAdapter) -> Callable[..., Talk]:
    """Begins a conversation with an agent of a factory."""

    def begin(factory: Callable[[], Any], **limits: Any) -> Talk:
        return Talk(adapter, factory, limits)

    return begin


class Connections:
    """Passes bytes on to the provider and counts the connections that carry them."""

    def __init__(self, provider: PracticeProvider) -> None:
        self._provider = provider
        self._server: asyncio.Server | None = None
        self.made = 0

    @property
    def answered(self) -> int:
        return self._provider.received

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._provider.port)
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
        target.close()


@pytest.fixture
async def connections(adapter: AgentchatAdapter, provider: PracticeProvider) -> AsyncIterator[Connections]:
    connections = Connections(provider)
    await connections.start()
    yield connections
    await connections.stop()


@pytest.fixture(autouse=True)
def _as_where_it_serves() -> None:
    """Clients are made before the adapter in some tests, and as it would find them."""
    openai_client.install()
