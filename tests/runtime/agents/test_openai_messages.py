"""Messages that are plain JSON are sent without the openai package's walk, and arrive the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import NOT_GIVEN, AsyncOpenAI
from openai.types.chat import ChatCompletionMessage

from turnlane.practice import PracticeProvider, Rule
from turnlane.runtime.agents import openai_messages
from turnlane.runtime.agents.openai_messages import is_plain

pytestmark = pytest.mark.anyio

PICTURE = "data:image/png;base64,iVBORw0KGgo="

PLAIN: list[Any] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "what is it?"}], "name": "ann"},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a lamp"},
]


@pytest.fixture
def installed() -> Iterator[None]:
    openai_messages.install()
    yield
    openai_messages.uninstall()


async def sent(messages: Any, **more: Any) -> Any:
    """The body that a provider receives."""
    async with PracticeProvider([Rule(say="hello")]) as provider:
        client = AsyncOpenAI(base_url=provider.base_url, api_key="practice")
        answer = await client.chat.completions.create(model="m", messages=messages, **more)
        if more.get("stream"):
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in answer]) == "hello"
        else:
            assert answer.choices[0].message.content == "hello"
        await client.close()
        return provider.requests[0].body


CALLS: dict[str, dict[str, Any]] = {
    "plain": {"messages": PLAIN},
    "stream": {"messages": PLAIN, "stream": True},
    "with parameters": {"messages": PLAIN, "temperature": 0.5, "max_tokens": 9, "extra_body": {"seed": 7}},
    "a message of the SDK": {
        "messages": [PLAIN[0], ChatCompletionMessage(role="assistant", content="hi"), PLAIN[1]]
    },
    "a tuple": {"messages": tuple(PLAIN)},
    "a field that is not given": {"messages": [{"role": "user", "content": "hi", "name": NOT_GIVEN}]},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_the_provider_receives_the_same(call: dict[str, Any]) -> None:
    before = await sent(**call)
    openai_messages.install()
    try:
        assert await sent(**call) == before
    finally:
        openai_messages.uninstall()


@pytest.mark.usefixtures("installed")
async def test_messages_in_extra_body_win_as_they_do_without_it() -> None:
    other = [{"role": "user", "content": "this one"}]
    body = await sent(PLAIN, extra_body={"messages": other})
    assert body["messages"] == other


@pytest.mark.usefixtures("installed")
async def test_installing_twice_is_installing_once() -> None:
    openai_messages.install()
    assert (await sent(PLAIN))["messages"] == PLAIN


def test_what_is_plain() -> None:
    assert is_plain(PLAIN)
    assert not is_plain([{"role": "user", "content": iter("ab")}])
    assert not is_plain([{"role": "user", "content": NOT_GIVEN}])
    assert not is_plain([{1: "no key of JSON"}])
