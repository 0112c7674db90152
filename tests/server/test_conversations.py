"""`/v1/conversations` and their items through the official client."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.conversations import Conversation, ConversationItem
from pydantic import TypeAdapter

pytestmark = pytest.mark.anyio

ITEM: TypeAdapter[Any] = TypeAdapter(ConversationItem)


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": text}


async def listed(client: AsyncOpenAI, conversation: str, **query: Any) -> list[Any]:
    page = client.conversations.items.list(conversation, **query)
    return [ITEM.validate_python(item.model_dump(mode="json")) async for item in page]


def texts(items: list[Any]) -> list[str]:
    return [item.content[0].text for item in items]


async def test_a_conversation_is_made_read_updated_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"user": "u1"})
    assert Conversation.model_validate(made.model_dump()).metadata == {"user": "u1"}
    assert await client.conversations.retrieve(made.id) == made
    updated = await client.conversations.update(made.id, metadata={"user": "u2"})
    assert updated.metadata == {"user": "u2"}
    deleted = await client.conversations.delete(made.id)
    assert deleted.deleted
    with pytest.raises(openai.NotFoundError):
        await client.conversations.retrieve(made.id)


async def test_a_conversation_can_be_made_without_a_body(served: Any) -> None:
    answer = await served.http().post("/v1/conversations")
    assert answer.status_code == 200
    assert answer.json()["metadata"] == {}


async def test_the_agent_reads_added_items_before_its_input(served: Any) -> None:
    client = served.openai()
    made = await client.conversations.create(items=[user("first")])
    added = await client.conversations.items.create(made.id, items=[user("second")])
    assert texts(added.data) == ["second"]
    await client.responses.create(model="echo", input="third", conversation=made.id)
    assert [item["content"][0]["text"] for item in served.worker.claims[-1].items] == ["first", "second"]


async def test_items_are_what_was_added_and_what_turns_said(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(items=[user("first")])
    await client.responses.create(model="echo", input="second", conversation=made.id)
    await client.conversations.items.create(made.id, items=[user("third")])
    said = ["first", "second", "you said: second", "third"]
    assert texts(await listed(client, made.id, order="asc")) == said
    assert texts(await listed(client, made.id)) == said[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_of_items_neither_lose_nor_repeat(client: AsyncOpenAI, limit: int) -> None:
    made = await client.conversations.create(items=[user("a")])
    for text in ("b", "c"):
        await client.responses.create(model="echo", input=text, conversation=made.id)
    said = ["a", "b", "you said: b", "c", "you said: c"]
    assert texts(await listed(client, made.id, order="asc", limit=limit)) == said
    assert texts(await listed(client, made.id, order="desc", limit=limit)) == said[::-1]


async def test_every_kind_of_output_is_an_item_of_the_conversation(client: AsyncOpenAI) -> None:
    for agent in ("everything", "asks"):
        response = await client.responses.create(model=agent, input="x")
        assert response.conversation is not None
        items = await listed(client, response.conversation.id, order="asc")
        assert [item.id for item in items[1:]] == [item.id for item in response.output]


async def test_one_item_can_be_read(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(items=[user("first")])
    response = await client.responses.create(model="echo", input="second", conversation=made.id)
    for item in await listed(client, made.id):
        assert await client.conversations.items.retrieve(item.id, conversation_id=made.id) == item
    other = await client.conversations.create()
    for conversation, item_id in [(made.id, "msg_x"), (other.id, response.output[0].id)]:
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.retrieve(item_id or "", conversation_id=conversation)


async def test_an_item_can_be_deleted_until_the_agent_has_read_it(served: Any) -> None:
    client = served.openai()
    made = await client.conversations.create(items=[user("keep"), user("drop")])
    keep, drop = await listed(client, made.id, order="asc")
    answer = await client.conversations.items.delete(drop.id, conversation_id=made.id)
    assert answer.id == made.id
    response = await client.responses.create(model="echo", input="x", conversation=made.id)
    assert len(served.worker.claims[-1].items) == 1
    for item_id in (keep.id, response.output[0].id):
        with pytest.raises(openai.ConflictError, match="delete the conversation") as caught:
            await client.conversations.items.delete(item_id, conversation_id=made.id)
        assert caught.value.code == "item_already_used"
    with pytest.raises(openai.NotFoundError):
        await client.conversations.items.delete(drop.id, conversation_id=made.id)


async def test_an_answer_to_a_question_cant_be_added_by_itself(client: AsyncOpenAI) -> None:
    answer: Any = {"type": "function_call_output", "call_id": "c", "output": "yes"}
    with pytest.raises(openai.BadRequestError, match="input of a response"):
        await client.conversations.create(items=[answer])


async def test_deleting_a_conversation_stops_what_runs_in_it(served: Any) -> None:
    client = served.openai()
    begun = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    stream = await client.responses.retrieve(begun.id, stream=True)
    await client.conversations.delete(begun.conversation.id)
    assert [event.type async for event in stream][-1] == "error"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(begun.id)


async def test_a_response_that_waits_for_a_deleted_conversation_answers_404(served: Any) -> None:
    import asyncio

    client = served.openai()
    made = await client.conversations.create()
    plain = asyncio.create_task(client.responses.create(model="waits", input="x", conversation=made.id))
    await served.signals.wait("waiting")
    await client.conversations.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await plain


async def test_more_than_twenty_items_at_once_are_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="items"):
        await client.conversations.create(items=[user("x")] * 21)
