"""Turnlane's input items as agentchat's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.messages import BaseChatMessage, MultiModalMessage, TextMessage
from autogen_core import Image
from autogen_core.models import AssistantMessage, LLMMessage, SystemMessage, UserMessage

from turnlane.runtime.conversation import JsonObject


class InputNotSupported(Exception):
    """The input holds something an agent can't be given; the message says what."""


def answer_text(items: Sequence[JsonObject]) -> str:
    """The text of the input that answers a question of the last turn."""
    texts = []
    for item in items:
        if item.get("type") == "function_call_output":
            output = item.get("output", "")
            texts.append(output if isinstance(output, str) else _text_of_parts(output))
        else:
            texts.append(_text_of_parts(item.get("content", "")))
    return "\n".join(texts)


def to_messages(items: Sequence[JsonObject]) -> list[BaseChatMessage]:
    """Input items as messages for `run(task=...)`. Roles other than `user` become the message's source."""
    return [_to_message(item) for item in items]


def to_model_context(items: Sequence[JsonObject]) -> list[LLMMessage]:
    """Items that were said before the input, as an agent's model context has them."""
    return [_to_llm_message(item) for item in items]


def _to_message(item: JsonObject) -> BaseChatMessage:
    if item.get("type") == "function_call_output":
        return TextMessage(content=answer_text([item]), source="user")
    source = item.get("role", "user")
    content = _content(item)
    if isinstance(content, str):
        return TextMessage(content=content, source=source)
    return MultiModalMessage(content=content, source=source)


def _to_llm_message(item: JsonObject) -> LLMMessage:
    if item.get("type") == "function_call_output":
        return UserMessage(content=answer_text([item]), source="user")
    role = item.get("role", "user")
    if role in ("system", "developer"):
        return SystemMessage(content=_text_of_parts(item.get("content", "")))
    if role == "assistant":
        return AssistantMessage(content=_text_of_parts(item.get("content", "")), source="assistant")
    return UserMessage(content=_content(item), source="user")


def _content(item: JsonObject) -> str | list[str | Image]:
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    parts: list[str | Image] = []
    for part in content:
        if part.get("type") == "input_image":
            parts.append(_image(str(part.get("image_url", ""))))
        else:
            parts.append(str(part.get("text", "")))
    if not any(isinstance(part, Image) for part in parts):
        return "\n".join(str(part) for part in parts)
    return parts


def _image(url: str) -> Image:
    if not url.startswith("data:"):
        # Fetching what a user names would let users reach the inside of the network.
        raise InputNotSupported("images must be sent as data: URLs; Turnlane fetches no addresses from users")
    try:
        return Image.from_uri(url)
    except Exception as error:
        raise InputNotSupported(f"the image can't be read ({type(error).__name__})") from error


def _text_of_parts(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
