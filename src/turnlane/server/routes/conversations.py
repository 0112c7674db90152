"""`/v1/conversations` and their items."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from turnlane.runtime.conversation import Conversation, JsonObject, new_id
from turnlane.server import conversation_items, input_items
from turnlane.server.answer import Answer, as_json
from turnlane.server.answer_shapes import ConversationDeleted, ConversationShape, Item, ItemList
from turnlane.server.call import Call
from turnlane.server.item_list import item_list
from turnlane.server.operation import Operation
from turnlane.server.problem import conflict, invalid, not_found
from turnlane.server.request_shapes import (
    CallOutput,
    ConversationCreate,
    ConversationUpdate,
    InputItem,
    ItemsCreate,
    ListQuery,
)


async def create_conversation(call: Call) -> Answer:
    request = await call.body(ConversationCreate, optional=True)
    items = _added(request.items or (), "items")
    conversation = Conversation(
        id=new_id("conv"), key=call.caller.owner, metadata=request.metadata or {}, created_at=time.time()
    )
    await call.engine.create_conversation(conversation, items)
    return as_json(_wire(conversation))


async def retrieve_conversation(call: Call) -> Answer:
    return as_json(_wire(await _conversation(call)))


async def update_conversation(call: Call) -> Answer:
    request = await call.body(ConversationUpdate)
    conversation = await _conversation(call)
    updated = await call.engine.update_conversation(conversation.id, request.metadata or {})
    if updated is None:
        raise not_found("conversation", conversation.id)
    return as_json(_wire(updated))


async def delete_conversation(call: Call) -> Answer:
    conversation = await _conversation(call)
    if not await call.engine.delete_conversation(conversation.id):
        raise not_found("conversation", conversation.id)
    return as_json({"id": conversation.id, "object": "conversation.deleted", "deleted": True})


async def list_items(call: Call) -> Answer:
    query = call.query(ListQuery)
    conversation = await _conversation(call)
    return as_json(await conversation_items.page(call.engine, conversation.id, query))


async def create_items(call: Call) -> Answer:
    request = await call.body(ItemsCreate)
    items = _added(request.items, "items")
    conversation = await _conversation(call)
    await call.engine.add_items(conversation.id, items)
    return as_json(item_list([input_items.to_wire(item) for item in items], has_more=False))


async def retrieve_item(call: Call) -> Answer:
    conversation = await _conversation(call)
    found = await conversation_items.find(call.engine, conversation.id, call.path("item_id"))
    return as_json(found.item)


async def delete_item(call: Call) -> Answer:
    conversation = await _conversation(call)
    found = await conversation_items.find(call.engine, conversation.id, call.path("item_id"))
    deleted = found.turn is None and await call.engine.delete_item(conversation.id, found.item["id"])
    if not deleted:
        raise conflict(
            f"the agent has read item {found.item['id']}, so it is part of the agent's state; "
            f"delete the conversation {conversation.id} instead",
            code="item_already_used",
        )
    return as_json(_wire(conversation))


def _added(items: Sequence[InputItem], param: str) -> list[JsonObject]:
    for number, item in enumerate(items):
        if isinstance(item, CallOutput):
            raise invalid(
                "an answer to request_user_input is the input of a response, it can't be added by itself",
                param=f"{param}[{number}]",
            )
    return input_items.with_new_ids([input_items.normal_item(item) for item in items])


async def _conversation(call: Call) -> Conversation:
    return await call.own_conversation(call.path("conversation_id"))


def _wire(conversation: Conversation) -> JsonObject:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": dict(conversation.metadata),
        "agent": conversation.agent,
    }


_ONE: Final = "/v1/conversations/{conversation_id}"
_ITEMS: Final = f"{_ONE}/items"
_ITEM: Final = f"{_ITEMS}/{{item_id}}"

OPERATIONS: Final[Sequence[Operation]] = (
    Operation(
        "POST",
        "/v1/conversations",
        create_conversation,
        "Make a conversation, with what was said before if you like.",
        ConversationShape,
        body=ConversationCreate,
        body_optional=True,
        errors=(503,),
    ),
    Operation("GET", _ONE, retrieve_conversation, "One conversation.", ConversationShape, errors=(404, 503)),
    Operation(
        "POST",
        _ONE,
        update_conversation,
        "Replace the metadata.",
        ConversationShape,
        body=ConversationUpdate,
        errors=(404, 503),
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_conversation,
        "Delete it with its responses; one that runs is stopped.",
        ConversationDeleted,
        errors=(404, 503),
    ),
    Operation(
        "GET",
        _ITEMS,
        list_items,
        "What was said: added items, input and output of the turns.",
        ItemList,
        query=ListQuery,
        errors=(404, 503),
    ),
    Operation(
        "POST",
        _ITEMS,
        create_items,
        "Add items; the agent reads them before its next input.",
        ItemList,
        body=ItemsCreate,
        errors=(404, 503),
    ),
    Operation("GET", _ITEM, retrieve_item, "One item.", Item, errors=(404, 503)),
    Operation(
        "DELETE",
        _ITEM,
        delete_item,
        "Delete an item that was added and that no agent has read yet; else 409.",
        ConversationShape,
        errors=(404, 409, 503),
    ),
)
