"""`/v1/chat/completions` through the official client."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from turnlane.runtime.conversation import Turn, TurnEvent
from turnlane.server.chat_completion import ChatChunks, RunAgain, content_of

pytestmark = pytest.mark.anyio


def user(text: str) -> Any:
    return {"role": "user", "content": text}


async def streamed(client: AsyncOpenAI, **request: Any) -> tuple[str, list[Any]]:
    stream = await client.chat.completions.create(stream=True, **request)
    chunks = [chunk async for chunk in stream]
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices), chunks


async def test_a_plain_completion(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="echo", messages=[user("hello")])
    ChatCompletion.model_validate(answer.model_dump(mode="json"))
    assert answer.choices[0].message.content == "you said: hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18
    extra = answer.model_dump()
    assert extra["conversation"].startswith("conv_")
    assert (await client.responses.retrieve(extra["response_id"])).output_text == "you said: hello"


@pytest.mark.parametrize("agent", ["echo", "stream", "everything", "asks", "hands_over", "cut"])
async def test_plain_and_stream_have_the_same_content(client: AsyncOpenAI, agent: str) -> None:
    plain = await client.chat.completions.create(model=agent, messages=[user("hello")])
    text, chunks = await streamed(client, model=agent, messages=[user("hello")])
    assert text == plain.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == plain.choices[0].finish_reason


async def test_all_messages_of_a_team_are_joined_by_a_blank_line(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="everything", messages=[user("x")])
    assert answer.choices[0].message.content == "Let me look.\n\nIt has shipped."


async def test_a_question_to_the_user_is_content(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="asks", messages=[user("delete it")])
    assert answer.choices[0].message.content == "Are you sure?"
    extra = answer.model_dump()
    assert extra["input_required"]["prompt"] == "Are you sure?"
    metadata = {"conversation": extra["conversation"]}
    done = await client.chat.completions.create(model="asks", messages=[user("yes")], metadata=metadata)
    assert done.choices[0].message.content == "thanks for: yes"


async def test_a_question_that_is_a_message_too_is_not_repeated(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="hands_over", messages=[user("x")])
    assert answer.choices[0].message.content == "What should I tell them?"


async def test_text_arrives_in_pieces_with_usage_last(client: AsyncOpenAI) -> None:
    request: Any = {"model": "stream", "messages": [user("x")], "stream_options": {"include_usage": True}}
    _, chunks = await streamed(client, **request)
    contents = [c.choices[0].delta.content for c in chunks if c.choices]
    assert contents == ["", "one ", "two ", "three", None]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 18
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_without_a_conversation_earlier_messages_are_its_history(served: Any) -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        user("hi"),
        {"role": "assistant", "content": "hello"},
        user("bye"),
    ]
    answer = await served.openai().chat.completions.create(model="echo", messages=messages)
    assert answer.choices[0].message.content == "you said: bye"
    assert [item["role"] for item in served.worker.claims[-1].items] == ["system", "user", "assistant"]


@pytest.mark.parametrize("place", ["metadata", "header"])
async def test_with_a_conversation_only_the_last_message_is_input(served: Any, place: str) -> None:
    client = served.openai()
    made = await client.conversations.create()
    where: Any = (
        {"metadata": {"conversation": made.id, "k": "v"}}
        if place == "metadata"
        else {"extra_headers": {"Turnlane-Conversation": made.id}}
    )
    messages: Any = [user("hi"), {"role": "assistant", "content": "hello"}, user("bye")]
    answer = await client.chat.completions.create(model="echo", messages=messages, **where)
    assert answer.choices[0].message.content == "you said: bye"
    assert answer.model_dump()["conversation"] == made.id
    assert served.worker.claims[-1].items == []
    assert "conversation" not in served.worker.claims[-1].turn.metadata


async def test_an_unknown_conversation_is_not_made(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(
            model="echo", messages=[user("x")], metadata={"conversation": "conv_unknown"}
        )


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0].role"),
        ({"messages": []}, "messages"),
        (
            {"extra_headers": {"Turnlane-Conversation": "a"}, "metadata": {"conversation": "b"}},
            "metadata.conversation",
        ),
    ],
)
async def test_what_is_not_possible_is_refused_by_name(client: AsyncOpenAI, more: Any, param: str) -> None:
    request: Any = {"model": "echo", "messages": [user("x")], **more}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**request)
    assert caught.value.param == param


async def test_what_chat_clients_send_besides_is_ignored(client: AsyncOpenAI) -> None:
    extra = {"chat_id": "1", "session_id": "2", "tools": [], "tool_choice": "none"}
    answer = await client.chat.completions.create(
        model="echo", messages=[user("x")], temperature=0.1, seed=3, extra_body=extra
    )
    assert answer.choices[0].message.content == "you said: x"


async def test_images_reach_the_agent(served: Any) -> None:
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    await served.openai().chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}])
    content = served.worker.claims[-1].turn.input[0]["content"]
    assert content[1] == {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}


async def test_a_failed_turn_is_an_error_plain_and_in_the_stream(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="the tool lookup failed"):
        await client.chat.completions.create(model="fails", messages=[user("tool")])
    with pytest.raises(openai.APIError, match="the tool lookup failed") as caught:
        await streamed(client, model="fails", messages=[user("tool")])
    assert caught.value.body["hazard"] == "TL401"  # type: ignore[index]


# --- the mapping by itself ---


def _turn(**changes: Any) -> Turn:
    base = Turn("resp_1", "conv_1", "a", "local", 1, "running", 1, [])
    return base.with_(**changes)


def _event(seq: int, kind: str, **data: Any) -> TurnEvent:
    return TurnEvent(seq, kind, 0.0, data)


def _text(chunks: list[Any]) -> str:
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)


def test_messages_written_side_by_side_are_shown_one_after_the_other() -> None:
    mapper = ChatChunks(_turn(), include_usage=False)
    steps = [
        _event(0, "text.delta", item="1", agent="a", text="A1 "),
        _event(1, "text.delta", item="2", agent="b", text="B1 "),
        _event(2, "text.delta", item="1", agent="a", text="A2"),
        _event(3, "text.delta", item="2", agent="b", text="B2"),
        _event(4, "message", item="2", agent="b", text="B1 B2"),
        _event(5, "message", item="1", agent="a", text="A1 A2"),
    ]
    pieces = [_text(mapper.feed(step)) for step in steps]
    assert pieces == ["A1 ", "", "A2", "", "", "\n\nB1 B2"]
    output = [
        {"type": "message", "item": "1", "agent": "a", "text": "A1 A2"},
        {"type": "message", "item": "2", "agent": "b", "text": "B1 B2"},
    ]
    ended = _turn(status="completed", output=output)
    assert _text(mapper.end(ended)) == ""
    assert "".join(pieces) == content_of(ended)


def test_a_second_attempt_after_text_was_sent_cant_be_shown() -> None:
    mapper = ChatChunks(_turn(), include_usage=False)
    mapper.feed(_event(0, "text.delta", item="1", agent="a", text="lost"))
    with pytest.raises(RunAgain):
        mapper.feed(_event(1_000_000, "started"))


def test_a_second_attempt_before_any_text_is_not_noticed() -> None:
    mapper = ChatChunks(_turn(), include_usage=False)
    mapper.feed(_event(0, "started"))
    mapper.feed(_event(1_000_000, "started"))
    assert _text(mapper.feed(_event(1_000_001, "message", item="2", agent="a", text="kept"))) == "kept"
