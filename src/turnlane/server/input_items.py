"""Input items: from request shapes to the normal form that agents get, and back to the wire.

The id of a turn's input item holds the turn's id and a number, as ids of output items do
(`Run.new_item`), with 00 where those have the attempt. So the turn of any item is known from its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from turnlane.runtime.conversation import JsonObject, new_id
from turnlane.server.output_items import text_part
from turnlane.server.request_shapes import (
    CallOutput,
    ChatMessage,
    ChatText,
    InputImage,
    InputItem,
    InputMessage,
    Part,
)

_TURN_ITEM_ID: Final = re.compile(r"(?:msg|rs|mcp|fc|fco)_([0-9a-f]{36})[0-9a-f]{6}")

_PREFIX: Final[Mapping[str, str]] = {"message": "msg", "function_call_output": "fco"}


def normal_input(given: str | Sequence[InputItem]) -> list[JsonObject]:
    """`input` of a response, without ids."""
    if isinstance(given, str):
        return [_message("user", [{"type": "input_text", "text": given}])]
    return [normal_item(item) for item in given]


def normal_item(item: InputItem) -> JsonObject:
    """One item, without its id."""
    if isinstance(item, CallOutput):
        output = item.output if isinstance(item.output, str) else "\n".join(part.text for part in item.output)
        return {"type": "function_call_output", "call_id": item.call_id, "output": output}
    return _message(item.role, _parts(item))


def normal_chat_message(message: ChatMessage) -> JsonObject:
    """One message of a chat completion, without its id."""
    text_type = "output_text" if message.role == "assistant" else "input_text"
    if isinstance(message.content, str):
        return _message(message.role, [{"type": text_type, "text": message.content}])
    parts: list[JsonObject] = []
    for part in message.content:
        if isinstance(part, ChatText):
            parts.append({"type": text_type, "text": part.text})
        else:
            parts.append(_image(part.image_url.url, part.image_url.detail))
    return _message(message.role, parts)


def with_ids_of_turn(items: Sequence[JsonObject], turn_id: str) -> list[JsonObject]:
    """The items with ids that lead to their turn."""
    stem = turn_id.partition("_")[2]
    return [
        {**item, "id": f"{_PREFIX[item['type']]}_{stem}00{number:04x}"}
        for number, item in enumerate(items, start=1)
    ]


def with_new_ids(items: Sequence[JsonObject]) -> list[JsonObject]:
    """The items with ids of their own: added to a conversation, not part of a turn."""
    return [{**item, "id": new_id(_PREFIX[item["type"]])} for item in items]


def turn_of_item(item_id: str) -> str | None:
    """The id of the turn that an item belongs to, if it belongs to one."""
    match = _TURN_ITEM_ID.fullmatch(item_id)
    return f"resp_{match[1]}" if match else None


def split_history(items: Sequence[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """What was said before, up to the last message of an assistant; and the new input behind it."""
    said = [number for number, item in enumerate(items, start=1) if item.get("role") == "assistant"]
    cut = said[-1] if said else 0
    return list(items[:cut]), list(items[cut:])


def to_wire(item: Mapping[str, Any]) -> JsonObject:
    """The stored item as `ResponseItem` and `ConversationItem` of the openai package have it."""
    if item["type"] == "function_call_output":
        return {**item, "status": "completed"}
    content = [
        text_part(part["text"]) if part["type"] == "output_text" else dict(part) for part in item["content"]
    ]
    return {**item, "content": content, "status": "completed"}


def _message(role: str, content: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}


def _parts(message: InputMessage) -> list[JsonObject]:
    text_type = "output_text" if message.role == "assistant" else "input_text"
    if isinstance(message.content, str):
        return [{"type": text_type, "text": message.content}]
    return [_part(part, text_type) for part in message.content]


def _part(part: Part, text_type: str) -> JsonObject:
    if isinstance(part, InputImage):
        return _image(part.image_url, part.detail)
    return {"type": text_type, "text": part.text}


def _image(url: str, detail: str | None) -> JsonObject:
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
