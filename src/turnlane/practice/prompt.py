"""What a script sees of one request: the conversation so far, read from its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One tool message that the request ends with: which call it answers, that call's tool, and its text."""

    call_id: str
    name: str
    text: str


class PracticeRequest:
    """One checked chat completion request.

    Everything is read from the request itself, never from what the provider has seen before, so the same
    messages always mean the same place in the conversation, whatever else runs beside them.
    """

    def __init__(self, body: Mapping[str, Any], number: int = 1) -> None:
        self.body = body
        """The request's JSON object as sent."""
        self.number = number
        """How many requests this provider has received, this one included."""

    def __repr__(self) -> str:
        return f"<PracticeRequest {self.number}: call {self.call}, user said {self.user_message[:60]!r}>"

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages as sent."""
        messages: Sequence[Mapping[str, Any]] = self.body["messages"]
        return messages

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body["model"])

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return self.body.get("stream") is True

    @cached_property
    def system(self) -> str:
        """All system and developer texts, joined by newlines."""
        return "\n".join(content_text(m) for m in self.messages if m["role"] in _SYSTEM_ROLES)

    @cached_property
    def user_messages(self) -> tuple[str, ...]:
        """The user's messages, oldest first."""
        return tuple(content_text(m) for m in self.messages if m["role"] == "user")

    @property
    def user_message(self) -> str:
        """The last user message; empty if there is none."""
        return self.user_messages[-1] if self.user_messages else ""

    @property
    def author(self) -> str:
        """Who wrote the last message: its `name`, as AutoGen sends it, or without one its role."""
        last = self.messages[-1]
        return str(last.get("name") or last["role"])

    @property
    def first_message(self) -> str:
        """The first user message, in a team the task; empty if there is none."""
        return self.user_messages[0] if self.user_messages else ""

    @cached_property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that may be called; none with `tool_choice: none`."""
        if self.body.get("tool_choice") == "none":
            return ()
        return tuple(t["function"]["name"] for t in self.body.get("tools") or () if t["type"] == "function")

    @cached_property
    def call(self) -> int:
        """Which model call of this conversation this is, from 1: one more than the assistant's messages."""
        return 1 + len([m for m in self.messages if m["role"] == "assistant"])

    @cached_property
    def step(self) -> int:
        """How many rounds of tool calls the assistant has made since the last user message."""
        rounds = 0
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            rounds += bool(message.get("tool_calls"))
        return rounds

    @cached_property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The tool messages that the request ends with, in order; empty if it ends otherwise."""
        messages = self.messages
        first = len(messages)
        while first and messages[first - 1]["role"] == "tool":
            first -= 1
        if first == len(messages):
            return ()
        names = {c["id"]: c["function"]["name"] for c in messages[first - 1].get("tool_calls") or ()}
        return tuple(
            ToolResult(m["tool_call_id"], names.get(m["tool_call_id"], ""), content_text(m))
            for m in messages[first:]
        )


def content_text(message: Mapping[str, Any]) -> str:
    """The text of a message, whether its content is a string, a list of parts, or missing."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return ""


def prompt_text(body: object) -> str:
    """All text that a request's body shows a model, also of a request that was refused."""
    texts = []
    pending: list[object] = [body.get("messages") if isinstance(body, dict) else None]
    while pending:  # no recursion: a refused body may nest as deep as JSON can be read
        value = pending.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return "\n".join(texts)
