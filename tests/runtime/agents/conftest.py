"""Real AutoGen, the real openai client, real HTTP: only the model's words are scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.practice import PracticeProvider
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
        return OpenAIChatCompletionClient(model=model, base_url=provider.base_url, api_key="practice", **options)

    return make


@pytest.fixture
def talk(adapter: AgentchatAdapter) -> Callable[..., Talk]:
    """Begins a conversation with an agent of a factory."""

    def begin(factory: Callable[[], Any], **limits: Any) -> Talk:
        return Talk(adapter, factory, limits)

    return begin
