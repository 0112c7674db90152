"""OpenAI's Responses API, through the official client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest
from pydantic import BaseModel

from turnlane.practice import Fault, PracticeProvider, Rule, ToolCall

pytestmark = pytest.mark.anyio

TOOL = {
    "type": "function",
    "name": "look_up",
    "description": "Looks up.",
    "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    "strict": False,
}
RULES = [
    Rule(when_result_of="look_up", say="It is {tool_result}."),
    Rule(when_offered="look_up", call=ToolCall("look_up", {"id": "7"})),
    Rule(when="who am I", when_said=r"I am (?P<name>\w+)", say="You are {name}."),
    Rule(when_system="pirate", say="Arr, matey."),
    Rule(say="Hello there, how are you?"),
]


@pytest.fixture
async def provider() -> AsyncIterator[PracticeProvider]:
    async with PracticeProvider(RULES) as started:
        yield started


@pytest.fixture
async def client(provider: PracticeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="practice", max_retries=0) as made:
        yield made


async def test_a_text(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="any", input="Hi")
    assert response.output_text == "Hello there, how are you?"
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


async def test_instructions_are_a_system_text(client: openai.AsyncOpenAI, provider: PracticeProvider) -> None:
    response = await client.responses.create(model="any", instructions="You are a pirate.", input="Hi")
    assert response.output_text == "Arr, matey."
    (request,) = provider.requests
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]


async def test_a_stream_holds_the_same_as_its_last_event(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="any", input="Hi") as stream:
        events = [event async for event in stream]
        whole = await stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text == "Hello there, how are you?"
    assert len(deltas) > 1
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(numbers)
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]


async def test_a_tool_is_called_and_its_result_answered(client: openai.AsyncOpenAI) -> None:
    first = await client.responses.create(model="any", input="Look it up", tools=[TOOL])  # type: ignore[list-item]
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("look_up", '{"id": "7"}')
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
    said = [{"role": "user", "content": "Look it up"}, call.model_dump(), result]
    second = await client.responses.create(model="any", input=said, tools=[TOOL])  # type: ignore[arg-type,list-item]
    assert second.output_text == "It is blue."
    third = await client.responses.create(
        model="any",
        input=[result],  # type: ignore[list-item]
        previous_response_id=first.id,
        tools=[TOOL],  # type: ignore[list-item]
    )
    assert third.output_text == "It is blue."


async def test_a_streamed_tool_call(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="any", input="Look it up", tools=[TOOL]) as stream:  # type: ignore[list-item]
        whole = await stream.get_final_response()
    assert [item.type for item in whole.output] == ["function_call"]


async def test_a_call_without_its_result_is_refused(client: openai.AsyncOpenAI) -> None:
    said = [
        {"role": "user", "content": "Look it up"},
        {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"},
        {"role": "user", "content": "Well?"},
    ]
    with pytest.raises(openai.BadRequestError, match="tool_call_id"):
        await client.responses.create(model="any", input=said)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", ["previous", "conversation"])
async def test_what_was_said_before_is_remembered(client: openai.AsyncOpenAI, named: str) -> None:
    where = {"conversation": "conv_1"} if named == "conversation" else {}
    first = await client.responses.create(model="any", input="I am Ann", **where)  # type: ignore[call-overload]
    where = where or {"previous_response_id": first.id}
    second = await client.responses.create(model="any", input="who am I?", **where)  # type: ignore[call-overload]
    assert second.output_text == "You are Ann."


async def test_an_unknown_response_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="resp_gone"):
        await client.responses.create(model="any", input="Hi", previous_response_id="resp_gone")


async def test_an_answer_cut_by_its_bound_is_incomplete(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="any", input="Hi", max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_a_shape_is_filled(client: openai.AsyncOpenAI) -> None:
    class Order(BaseModel):
        number: int
        item: str

    async with PracticeProvider([Rule(say="{json}")]) as provider:
        local = client.with_options(base_url=provider.base_url)
        response = await local.responses.parse(model="any", input="An order, please", text_format=Order)
    assert isinstance(response.output_parsed, Order)


async def test_faults_and_budget_hold_here_too(client: openai.AsyncOpenAI, provider: PracticeProvider) -> None:
    with provider.faults.active(Fault("rate_limit", retry_after=3)), pytest.raises(openai.RateLimitError):
        await client.responses.create(model="any", input="Hi")
    with provider.faults.active("empty"):
        empty = await client.responses.create(model="any", input="Hi")
    assert empty.output_text == ""
    with provider.faults.active(Fault("cut_stream", after_chunks=1)):
        events = [event.type async for event in await client.responses.create(model="a", input="Hi", stream=True)]
    assert "response.completed" not in events
    assert "response.output_text.delta" in events
    assert [request.fault for request in provider.requests] == ["rate_limit", "empty", "cut_stream"]


async def test_a_body_without_input_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'input'"):
        await client.responses.create(model="any")
