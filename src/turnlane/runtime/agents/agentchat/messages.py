"""Between Turnlane's items and events, and agentchat's messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    MultiModalMessage,
    StructuredMessage,
    TextMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
    UserInputRequestedEvent,
)
from autogen_core import Image
from autogen_core.models import AssistantMessage, LLMMessage, SystemMessage, UserMessage

from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import JsonObject


class InputNotSupported(Exception):
    """The input holds something an agent can't be given; the message says what."""


# --- in ---


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


# --- out ---


class Transcript:
    """Turns what a run yields into events, and collects the turn's output items.

    `is_user` says which sources are the human's side: what they "say" is the input coming back.
    """

    def __init__(self, run: Run, *, is_team: bool, is_user: Callable[[str], bool]) -> None:
        self._run = run
        self._is_team = is_team
        self._is_user = is_user
        self._echoes: set[str] = set()
        self._items: dict[str, str] = {}
        self._thinking: set[str] = set()
        self._streamed: set[str] = set()
        self._tools: dict[str, JsonObject] = {}
        self._tool_errors: dict[str, JsonObject] = {}
        self._cut: dict[str, str] = {}
        self.output: list[JsonObject] = []
        self.last_message: BaseChatMessage | None = None
        self.muted = False
        """While a run is replayed: what it says was said in an earlier turn."""

    def expect_echo(self, messages: Sequence[BaseChatMessage]) -> None:
        """The input itself, which teams yield first."""
        self._echoes.update(message.id for message in messages)

    def note_cut(self, text: str, reason: str) -> None:
        self._cut[text] = reason

    def note_tool_error(self, call: str, error: JsonObject) -> None:
        self._tool_errors[call] = error

    def add(self, message: BaseAgentEvent | BaseChatMessage) -> None:
        """Take one message or event of the run."""
        if isinstance(message, BaseChatMessage):
            self._chat_message(message)
        elif self.muted:
            return
        elif isinstance(message, ModelClientStreamingChunkEvent):
            self._chunk(message)
        elif isinstance(message, ThoughtEvent):
            self._thought(message)
        elif isinstance(message, ToolCallRequestEvent):
            self._tool_calls(message)
        elif isinstance(message, ToolCallExecutionEvent):
            self._tool_results(message)
        elif not isinstance(message, UserInputRequestedEvent):
            self._emit("note", agent=message.source, type=type(message).__name__, text=message.to_text())

    def ask_human(self, *, agent: str, prompt: str, reason: str) -> str:
        """The turn ends with a question; returns the id of the call that the client may answer."""
        call = f"call_{self._run.new_item()}"
        item = {
            "type": "input.required",
            "item": self._run.new_item(),
            "call": call,
            "agent": agent,
            "prompt": prompt,
            "reason": reason,
        }
        self.output.append(item)
        self._emit("input.required", item=item["item"], call=call, agent=agent, prompt=prompt, reason=reason)
        return call

    def say(self, handoff: HandoffMessage) -> None:
        """Show the text of a handoff to the outside as a message, for clients that only read messages."""
        self._message(handoff.id, handoff.source, handoff.content, None, phase="final_answer")

    def finish(self) -> list[JsonObject]:
        """The output items; of the messages, the last is the final answer and the others are commentary."""
        messages = [item for item in self.output if item["type"] == "message"]
        for item in messages:
            item["phase"] = "final_answer" if item is messages[-1] else "commentary"
        return self.output

    def _chat_message(self, message: BaseChatMessage) -> None:
        if message.id in self._echoes or self._is_user(message.source):
            return
        self.last_message = message
        if self.muted:
            return
        if isinstance(message, HandoffMessage):
            self._emit("handoff", agent=message.source, target=message.target, text=message.content)
            return
        text = message.to_text()
        structured = message.content.model_dump(mode="json") if isinstance(message, StructuredMessage) else None
        if structured is not None:
            text = json.dumps(structured)
        self._message(
            message.id, message.source, text, structured, phase=None if self._is_team else "final_answer"
        )

    def _message(self, key: str, agent: str, text: str, structured: Any, phase: str | None) -> None:
        item = self._item(key)
        incomplete = self._cut.get(text)
        self.output.append(
            {
                "type": "message",
                "item": item,
                "agent": agent,
                "text": text,
                "phase": phase,
                "incomplete": incomplete,
                "structured": structured,
            }
        )
        self._emit(
            "message",
            item=item,
            agent=agent,
            text=text,
            phase=phase,
            incomplete=incomplete,
            structured=structured,
        )

    def _chunk(self, chunk: ModelClientStreamingChunkEvent) -> None:
        text = chunk.content
        key = chunk.full_message_id or f"chunks of {chunk.source}"
        # The client wraps reasoning in marks: the opening one leads its first piece, the closing one is alone.
        if text.startswith("<think>"):
            self._thinking.add(key)
            text = text.removeprefix("<think>")
        elif text == "</think>" and key in self._thinking:
            self._thinking.discard(key)
            return
        if key in self._thinking:
            self._emit("reasoning.delta", item=self._item(f"{key} thought"), agent=chunk.source, text=text)
        elif text:
            self._streamed.add(key)
            self._emit("text.delta", item=self._item(key), agent=chunk.source, text=text)

    def _thought(self, thought: ThoughtEvent) -> None:
        if thought.id in self._streamed:
            # Text beside a tool call was streamed as a message before anyone could know: it stays one.
            self._message(thought.id, thought.source, thought.content, None, phase="commentary")
            self._items.pop(thought.id, None)
            return
        item = self._item(f"{thought.id} thought")
        self.output.append({"type": "reasoning", "item": item, "agent": thought.source, "text": thought.content})
        self._emit("reasoning", item=item, agent=thought.source, text=thought.content)

    def _tool_calls(self, event: ToolCallRequestEvent) -> None:
        for call in event.content:
            item = {
                "type": "tool",
                "item": self._run.new_item(),
                "call": call.id,
                "agent": event.source,
                "name": call.name,
                "arguments": call.arguments,
                "output": None,
                "error": None,
            }
            self._tools[call.id] = item
            self.output.append(item)
            self._emit(
                "tool.call",
                item=item["item"],
                agent=event.source,
                call=call.id,
                name=call.name,
                arguments=call.arguments,
            )

    def _tool_results(self, event: ToolCallExecutionEvent) -> None:
        for result in event.content:
            item = self._tools.get(result.call_id)
            if item is None:
                continue
            item["output"] = result.content
            if result.is_error:
                unknown = {"type": "ToolFailed", "message": result.content, "hazard": None}
                item["error"] = self._tool_errors.get(result.call_id, unknown)
            self._emit(
                "tool.result",
                item=item["item"],
                agent=event.source,
                call=result.call_id,
                name=result.name,
                output=result.content,
                error=item["error"],
            )

    def _item(self, key: str) -> str:
        if key not in self._items:
            self._items[key] = self._run.new_item()
        return self._items[key]

    def _emit(self, kind: str, **data: Any) -> None:
        if not self.muted:
            self._run.emit(kind, **data)
