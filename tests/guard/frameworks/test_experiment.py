"""What an experiment gives each request of its own, and what it leaves alone.

Who sees whose words is read from the prompts that the provider got.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.model_context import BufferedChatCompletionContext
from tests.guard.conftest import Watched
from tests.guard.frameworks.agentchat_programs import in_request, model, said

from turnlane.guard import patching
from turnlane.practice import PracticeProvider, Rule

Ask = Callable[[str], Awaitable[Any]]

THRESHOLD = 60.0
"""Others use the machine too; a slow loop is not what is looked at."""


@pytest.fixture
def guard_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"threshold": THRESHOLD, "experiment": request.param}


fresh_agents = pytest.mark.parametrize("guard_settings", ["fresh-agents"], indirect=True)
fresh_contexts = pytest.mark.parametrize("guard_settings", ["fresh-contexts"], indirect=True)
no_experiment = pytest.mark.parametrize("guard_settings", [None], indirect=True)


def prompts(program: Callable[[Any], Ask]) -> list[str]:
    """The prompts when ann and bob each ask twice, in a request each."""

    async def main(base_url: str) -> None:
        async with model(base_url) as client:
            ask = program(client)

            async def twice(user: str) -> None:
                await ask(f"first of {user}")
                await ask(f"second of {user}")

            for user in ("ann", "bob"):
                await in_request(lambda user=user: twice(user), user_id=user)  # type: ignore[misc]

    with PracticeProvider.in_thread([Rule(say="I see.")]) as provider:
        asyncio.run(main(provider.base_url))
        return [record.text for record in provider.requests]


def leaks(texts: list[str]) -> bool:
    return any("ann" in text and "bob" in text for text in texts)


def keeps(texts: list[str]) -> bool:
    """Whether what a request said first is in its second prompt."""
    return any("first of bob" in text and "second of bob" in text for text in texts)


def shared_agent(client: Any) -> Ask:
    agent = AssistantAgent("support", client)
    return lambda text: said(agent, text)


def shared_team(client: Any) -> Ask:
    members = [AssistantAgent("one", client), AssistantAgent("two", client)]
    team = RoundRobinGroupChat(members, termination_condition=MaxMessageTermination(3) | MaxMessageTermination(9))
    return lambda text: said(team, text)


def shared_context(client: Any) -> Ask:
    context = BufferedChatCompletionContext(buffer_size=20)
    return lambda text: said(AssistantAgent("support", client, model_context=context), text)


@no_experiment
@pytest.mark.parametrize("program", [shared_agent, shared_team, shared_context])
def test_what_is_shared_leaks_as_long_as_nothing_is_changed(program: Any, watched: Watched) -> None:
    assert leaks(prompts(program))
    assert patching.stand_in is None


@fresh_agents
@pytest.mark.parametrize("program", [shared_agent, shared_team])
def test_each_request_has_agents_of_its_own_and_keeps_them(program: Any, watched: Watched) -> None:
    texts = prompts(program)
    assert not leaks(texts)
    assert keeps(texts), "within a request it is one and the same agent"
    assert watched.of_kind("trouble") == []


@fresh_agents
def test_fresh_agents_do_not_hide_a_shared_context(watched: Watched) -> None:
    assert leaks(prompts(shared_context))


@fresh_contexts
def test_each_request_has_contexts_of_its_own(watched: Watched) -> None:
    texts = prompts(shared_context)
    assert not leaks(texts)
    assert keeps(texts)
    assert watched.of_kind("trouble") == []


@fresh_contexts
def test_fresh_contexts_do_not_hide_a_shared_agent(watched: Watched) -> None:
    assert leaks(prompts(shared_agent)), "the context that an agent made for itself is the agent's"


@fresh_agents
def test_the_state_that_is_loaded_and_saved_is_that_of_the_requests_own_agent(watched: Watched) -> None:
    saved: list[Any] = []

    def program(client: Any) -> Ask:
        agent = AssistantAgent("support", client)

        async def ask(text: str) -> None:
            await agent.run(task=text)
            saved.append(await agent.save_state())

        return ask

    prompts(program)
    assert "first of bob" in str(saved[-1])
    assert "ann" not in str(saved[-1])


@fresh_agents
def test_outside_of_a_request_nothing_is_changed(watched: Watched) -> None:
    async def main(base_url: str) -> None:
        async with model(base_url) as client:
            agent = AssistantAgent("support", client)
            await said(agent, "first")
            await said(agent, "second")

    with PracticeProvider.in_thread([Rule(say="I see.")]) as provider:
        asyncio.run(main(provider.base_url))
        assert "first" in provider.requests[-1].text
