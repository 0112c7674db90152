"""Pieces of AutoGen programs that the tests of the guard put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.guard import requests
from turnlane.guard.requests import Request
from turnlane.practice import PracticeProvider, Rule

Script = Callable[[OpenAIChatCompletionClient], Coroutine[Any, Any, Any]]


def run(script: Script, *rules: Rule) -> Any:
    """Run a program that is given a model client, in a loop of its own that closes at the end."""

    async def main(base_url: str) -> Any:
        async with model(base_url) as client:
            return await script(client)

    with PracticeProvider.in_thread(list(rules) or [Rule(say="I see.", latency=0.02)]) as provider:
        return asyncio.run(main(provider.base_url))


@asynccontextmanager
async def model(base_url: str) -> AsyncIterator[OpenAIChatCompletionClient]:
    """A client that does not try again."""
    client = OpenAIChatCompletionClient(
        model="gpt-4o-mini-2024-07-18", base_url=base_url, api_key="practice", max_retries=0
    )
    yield client
    await client.close()


async def in_request(work: Callable[[], Awaitable[Any]], **keys: str) -> Any:
    """Do work as a server does it for a request whose fields say whose it is."""
    with requests.within(Request("asgi", "POST /chat", keys=keys)):
        return await work()


async def said(agent: Any, text: str) -> str:
    """What an agent or a team answers."""
    result = await agent.run(task=text)
    return str(result.messages[-1].to_text())


async def failing(agent: Any, text: str) -> str | None:
    """The same, with errors caught as a program does that wants to go on."""
    try:
        return await said(agent, text)
    except Exception as error:
        return type(error).__name__


def assistant(client: OpenAIChatCompletionClient, name: str = "support", **options: Any) -> AssistantAgent:
    """A fresh agent."""
    return AssistantAgent(name, client, **options)
