"""AutoGen's usual teams come to an end with the default script, in few model calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from enum import Enum
from typing import Literal

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import HandoffMessage, StructuredMessage
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from turnlane.practice import PracticeProvider, PracticeRequest, Rule, Script, default_script

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::UserWarning")]

FEW = 10
PLANNER = """You are a planning agent.
Your team members are: WebSearchAgent: Searches for information. DataAnalystAgent: Performs calculations.
You only plan and delegate tasks - you do not execute them yourself.
After all tasks are complete, summarize the findings and end with "TERMINATE"."""
SELECTOR = """Select an agent to perform task.

{roles}

Current conversation context:
{history}

Read the above conversation, then select an agent from {participants} to perform the next task.
Only select one agent."""


@pytest.fixture
async def provider(anyio_backend: str) -> AsyncIterator[PracticeProvider]:
    own = default_script()
    quick = Script(own.rules, fallback=own.fallback)
    async with PracticeProvider(quick) as provider:
        yield provider


@pytest.fixture
async def client(provider: PracticeProvider) -> AsyncIterator[OpenAIChatCompletionClient]:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=provider.base_url, api_key="practice")
    yield client
    await client.close()


def names(result: TaskResult) -> list[str]:
    return [message.source for message in result.messages]


def last_text(result: TaskResult) -> str:
    return result.messages[-1].to_text()  # type: ignore[union-attr]


async def run(team: object, task: str) -> TaskResult:
    async with asyncio.timeout(20):
        return await team.run(task=task)  # type: ignore[attr-defined,no-any-return]


async def test_one_agent_with_autogens_own_prompt_ends(provider: PracticeProvider, client) -> None:
    team = RoundRobinGroupChat(
        [AssistantAgent("a", client)], termination_condition=TextMentionTermination("TERMINATE")
    )
    result = await run(team, "Write a haiku.")
    assert last_text(result) == "TERMINATE"
    assert provider.received == 2
    again = await run(team, "And one more.")
    assert last_text(again) == "TERMINATE"
    assert provider.received < FEW


@pytest.mark.parametrize("word", ["APPROVE", "TERMINATE"])
async def test_a_round_robin_ends_by_the_word_that_a_prompt_names(provider, client, word: str) -> None:
    primary = AssistantAgent("primary", client, system_message="You are a helpful AI assistant.")
    checker = AssistantAgent(
        "checker",
        client,
        system_message=f"Provide constructive feedback. Respond with '{word}' when your feedbacks are addressed.",
    )
    team = RoundRobinGroupChat([primary, checker], termination_condition=TextMentionTermination(word))
    result = await run(team, "Write a short poem about the fall season.")
    assert names(result) == ["user", "primary", "checker", "primary", "checker"]
    assert provider.received == 4


@pytest.mark.parametrize("prompt", [None, SELECTOR])
@pytest.mark.parametrize("repeat", [False, True])
async def test_a_selector_lets_everybody_speak_and_ends(
    provider, client, prompt: str | None, repeat: bool
) -> None:
    agents = [
        AssistantAgent("PlanningAgent", client, description="Plans tasks.", system_message=PLANNER),
        AssistantAgent("WebSearchAgent", client, description="Searches.", system_message="You search the web."),
        AssistantAgent("DataAnalystAgent", client, description="Calculates.", system_message="You calculate."),
    ]
    more = {"selector_prompt": prompt} if prompt else {}
    team = SelectorGroupChat(
        agents,
        model_client=client,
        termination_condition=TextMentionTermination("TERMINATE") | MaxMessageTermination(25),
        allow_repeated_speaker=repeat,
        **more,
    )
    result = await run(team, "Who was the Miami Heat player with the highest points in 2006?")
    assert names(result)[1:] == ["PlanningAgent", "WebSearchAgent", "DataAnalystAgent", "PlanningAgent"]
    assert last_text(result) == "TERMINATE"
    assert provider.received < FEW


@pytest.mark.parametrize("structured", [False, True])
async def test_magentic_one_plans_asks_once_and_answers(provider, structured: bool) -> None:
    info = {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": "unknown",
        "structured_output": structured,
    }
    client = OpenAIChatCompletionClient(model="m", base_url=provider.base_url, api_key="practice", model_info=info)
    agents = [AssistantAgent(name, client, system_message=f"You are {name}.") for name in ("surfer", "coder")]
    result = await run(MagenticOneGroupChat(agents, model_client=client), "Prove that there are many primes.")
    await client.close()
    assert "surfer" in names(result)
    assert "the team's answer" in last_text(result)
    assert provider.received < FEW


async def test_a_swarm_hands_over_and_ends(provider, client) -> None:
    travel = AssistantAgent(
        "travel_agent",
        client,
        handoffs=["flights_refunder", "user"],
        system_message="You are a travel agent. The flights_refunder is in charge of refunding flights. "
        "If you need information from the user, you must first send your message, then you can handoff to the "
        "user. Use TERMINATE when the travel planning is complete.",
    )
    refunder = AssistantAgent(
        "flights_refunder",
        client,
        handoffs=["travel_agent", "user"],
        system_message="You are an agent specialized in refunding flights. "
        "When the transaction is complete, handoff to the travel agent to finalize.",
    )
    team = Swarm(
        [travel, refunder], termination_condition=HandoffTermination("user") | TextMentionTermination("TERMINATE")
    )
    result = await run(team, "I need to refund my flight.")
    targets = [message.target for message in result.messages if isinstance(message, HandoffMessage)]
    assert targets == ["flights_refunder", "travel_agent"]
    assert last_text(result) == "TERMINATE"
    assert provider.received < FEW


async def test_a_swarm_coordinator_hands_over_to_whom_its_prompt_names(provider, client) -> None:
    planner = AssistantAgent(
        "planner",
        client,
        handoffs=["news_analyst", "writer"],
        system_message="Coordinate market research by delegating to specialized agents: News Analyst, Writer. "
        "Always handoff to a single agent at a time. Use TERMINATE when research is complete.",
    )
    others = [
        AssistantAgent(
            name, client, handoffs=["planner"], system_message="Always handoff back to planner when you are done."
        )
        for name in ("news_analyst", "writer")
    ]
    result = await run(
        Swarm([planner, *others], termination_condition=TextMentionTermination("TERMINATE")), "Research TSLA stock"
    )
    assert last_text(result) == "TERMINATE"
    assert provider.received < FEW


async def test_an_agent_of_a_swarm_that_nobody_answers_hands_over_to_the_user(provider, client) -> None:
    agent = AssistantAgent("triage", client, handoffs=["sales", "user"], system_message="You are a triage agent.")
    sales = AssistantAgent("sales", client, handoffs=["triage"], system_message="You sell.")
    result = await run(Swarm([agent, sales], termination_condition=HandoffTermination("user")), "hello")
    assert isinstance(result.messages[-1], HandoffMessage)
    assert provider.received < FEW


class Mood(Enum):
    happy = "happy"
    sad = "sad"


class Step(BaseModel):
    explanation: str
    score: float


class Reply(BaseModel):
    thoughts: str
    response: Literal["yes", "no"]
    mood: Mood
    steps: list[Step]
    parent: Step | None
    first: Step


async def test_a_structured_answer_fits_its_schema(provider, client) -> None:
    agent = AssistantAgent("a", client, output_content_type=Reply, system_message="Answer as JSON.")
    result = await run(agent, "Where is my order 1001?")
    message = result.messages[-1]
    assert isinstance(message, StructuredMessage)
    assert message.content.response == "yes"
    assert provider.received == 1


async def test_an_agent_with_autogens_own_prompt_is_pleasant_to_people(client) -> None:
    agent = AssistantAgent("a", client)
    await run(agent, "My name is Ada")
    assert last_text(await run(agent, "What is my name?")) == "Your name is Ada."


# --- the names in braces, by themselves ---


def answer_of(rules: list[Rule], **body: object) -> str | None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **body}
    return asyncio.run(Script(rules, fallback="none").answer(PracticeRequest(body))).text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "practice"),
        ({"const": 3}, 3),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "string", "minLength": 10, "maxLength": 10}, "practice.."),
        ({"type": "string", "maxLength": 3}, "pra"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": ["null", "string"]}, None),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"type": "array", "items": {"type": "boolean"}}, []),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "practice"}),
        ({"allOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]}, {"a": 1}),
        (
            {
                "$defs": {
                    "n": {
                        "type": "object",
                        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}},
                        "required": ["next"],
                    }
                },
                "$ref": "#/$defs/n",
            },
            {"next": None},
        ),
        ({"$ref": "#"}, None),
    ],
)
def test_json_is_small_and_fits(schema: dict[str, object], value: object) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    said = answer_of([Rule(say="{json}")], response_format=wanted)
    assert json.loads(said or "") == value


def test_json_is_for_requests_that_want_some() -> None:
    assert answer_of([Rule(say="{json}")]) == "none"
    assert answer_of([Rule(say="{json}")], response_format={"type": "text"}) == "none"
    assert answer_of([Rule(say="{json}")], response_format={"type": "json_object"}) == "{}"


def test_a_participant_is_for_requests_that_offer_some() -> None:
    assert answer_of([Rule(say="{participant}")]) == "none"
    offered = [{"role": "user", "content": "a: hi\n\nSelect an agent from ['a', 'b'] to go on."}]
    assert answer_of([Rule(say="{participant}")], messages=offered) == "b"
    assert answer_of([Rule(when="from .'(?P<participant>.)", say="{participant}")], messages=offered) == "a"


def test_who_wrote_the_last_message() -> None:
    rules = [Rule(when_from="^critic$", say="the critic"), Rule(when_from="assistant", say="I")]
    critics = {"role": "user", "name": "critic", "content": "x"}
    assert answer_of(rules, messages=[critics]) == "the critic"
    assert answer_of(rules, messages=[critics, {"role": "assistant", "content": "y"}]) == "I"
    assert answer_of(rules) == "none"
