"""OpenAI's rule for tool calls and their results: each call answered at once, each result asked for.

A conversation that two runs share breaks exactly this rule first, so a practice provider that let it pass would
hide the mistake that it is there to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .refusal import Refusal


def check_pairing(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse messages whose tool calls and tool results do not pair.

    Raises:
        Refusal: 400 with OpenAI's own text.
    """
    open_calls: list[str] = []
    answered = True  # whether tool messages may follow: the last assistant message had calls
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            _check_result(message, place, open_calls, allowed=not answered)
            continue
        _check_all_answered(open_calls)
        calls = message.get("tool_calls") if message["role"] == "assistant" else None
        open_calls = [call["id"] for call in calls or ()]
        answered = not open_calls
    _check_all_answered(open_calls)


def _check_result(message: Mapping[str, Any], place: int, open_calls: list[str], *, allowed: bool) -> None:
    if not allowed:
        raise Refusal(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            param=f"messages.[{place}].role",
        )
    call_id = message["tool_call_id"]
    if call_id not in open_calls:
        raise Refusal(
            f"Invalid parameter: 'tool_call_id' of '{call_id}' not found in 'tool_calls' of previous message.",
            param=f"messages.[{place}].tool_call_id",
        )
    open_calls.remove(call_id)


def _check_all_answered(open_calls: list[str]) -> None:
    if open_calls:
        raise Refusal(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: " + ", ".join(open_calls),
            param="messages",
        )
