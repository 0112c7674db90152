"""The work that all sides of a comparison do: the same agent, the same history, the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import AssistantMessage, ChatCompletionClient, UserMessage

SYSTEM = "You are the support agent of a small shop. Be brief and friendly."

QUESTION = "I ordered a lamp and two chairs last week, and only the lamp has arrived so far. Where is the rest?"
ANSWER = "I am sorry about that. The chairs travel in a parcel of their own and should be with you on Thursday."

TURNS_EACH = 5
"""Turns of one conversation."""

EXCHANGES_BEFORE = 8
"""So the five turns are asked with 16 to 24 messages of history, 20 on average, as in HAZARDS.md."""


def assistant(model_client: ChatCompletionClient) -> AssistantAgent:
    """The agent that is served and that runs bare."""
    return AssistantAgent("assistant", model_client=model_client, system_message=SYSTEM)


def history_items() -> list[dict[str, Any]]:
    """The history as items of a conversation."""
    return [
        {"type": "message", "role": role, "content": text}
        for _ in range(EXCHANGES_BEFORE)
        for role, text in (("user", QUESTION), ("assistant", ANSWER))
    ]


def history_messages() -> Sequence[UserMessage | AssistantMessage]:
    """The same as messages of the framework."""
    return [
        message
        for _ in range(EXCHANGES_BEFORE)
        for message in (
            UserMessage(content=QUESTION, source="user"),
            AssistantMessage(content=ANSWER, source="assistant"),
        )
    ]
