"""A turn as OpenAI's `Response` object (`openai.types.responses.Response`)."""

from __future__ import annotations

from typing import Any, Final, Literal

from turnlane.runtime.conversation import Failure, JsonObject, Status, Turn, Usage
from turnlane.server.output_items import input_required, to_wire
from turnlane.server.problem import cause, message_of

STATUS: Final[dict[Status, str]] = {
    "queued": "queued",
    "running": "in_progress",
    "completed": "completed",
    "incomplete": "incomplete",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "incomplete",
    "needs_attention": "failed",
}
"""The response's `status` of each status of a turn: OpenAI's own, so that every client can read it. Ours is beside
it as `turn_status`."""

_FIXED: Final[JsonObject] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields that have no meaning here: the agent decides about model, tools and sampling."""


def response_object(turn: Turn, *, operator: bool = False) -> JsonObject:
    """The turn as it is now. Extra fields: `turn_status`, `attempt`, `input_required`, `request_id`.

    Only an `operator` reads the text of a private failure.
    """
    output = [to_wire(item) for item in turn.output]
    changing: JsonObject = {
        "status": STATUS[turn.status],
        "turn_status": turn.status,
        "completed_at": _seconds(turn.finished_at) if turn.status == "completed" else None,
        "error": _response_error(turn.failure, turn, operator) if turn.failure is not None else None,
        # Never null when incomplete: clients look for the reason without asking whether there is one.
        "incomplete_details": {"reason": turn.incomplete} if STATUS[turn.status] == "incomplete" else None,
        "output": output,
        "usage": response_usage(turn.usage) if turn.ended else None,
        "attempt": turn.attempt,
        "input_required": input_required(turn.output),
    }
    return _object(turn, changing)


def response_at_start(turn: Turn, attempt: int, status: Literal["queued", "running"]) -> JsonObject:
    """The turn as it was when an attempt began: the same for everybody who reads the stream, at any time."""
    changing: JsonObject = {
        "status": STATUS[status],
        "turn_status": status,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        "attempt": attempt,
        "input_required": None,
    }
    return _object(turn, changing)


def _response_error(failure: Failure, turn: Turn, operator: bool) -> JsonObject:
    """OpenAI knows few codes here (`ResponseError.code`); ours is `failure_code`, beside the cause."""
    limited = failure.kind == "provider" and "rate" in failure.code
    return {
        "code": "rate_limit_exceeded" if limited else "server_error",
        "message": message_of(failure, turn, operator=operator),
        "type": f"{failure.kind}_error",
        "failure_code": failure.code,
        **cause(failure),
    }


def response_usage(usage: Usage) -> JsonObject:
    """Tokens of all model calls together. Extra fields: `model_calls`, `retries`."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "model_calls": usage.model_calls,
        "retries": usage.retries,
    }


def _object(turn: Turn, changing: dict[str, Any]) -> JsonObject:
    return {
        "id": turn.id,
        "object": "response",
        "created_at": int(turn.created_at),
        "model": turn.agent,
        "conversation": {"id": turn.conversation},
        "previous_response_id": turn.options.get("previous_response_id"),
        "background": bool(turn.options.get("background")),
        "metadata": dict(turn.metadata),
        "request_id": turn.request_id,
        **changing,
        **_FIXED,
    }


def _seconds(at: float | None) -> int | None:
    return None if at is None else int(at)
