"""What goes wrong, in the shape of OpenAI's error object, with the cause as extra fields.

The shape: https://platform.openai.com/docs/guides/error-codes/api-errors, and `APIError` of the openai package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from turnlane import hazards
from turnlane.runtime.agent import ReentrantRun
from turnlane.runtime.conversation import Failure, JsonObject, Status, Turn
from turnlane.runtime.engine import (
    ConversationBusy,
    ConversationNotFound,
    EngineError,
    EngineUnavailable,
    IdempotencyMismatch,
    LaneFull,
    NotLatest,
    QueueFull,
    Refused,
    WrongAgent,
)
from turnlane.runtime.intake import Draining, UnknownAgent

NO_RETRY: Final = {"x-should-retry": "false"}
"""Tells the openai client not to send the request again on its own: the same would happen."""

INVALID: Final = "invalid_request_error"

TRY_AGAIN: Final = {"Retry-After": "5"}
"""When the store is away: seconds after which it is worth another try."""

ENGINE_UNAVAILABLE: Final = "engine_unavailable"

FAILURE_STATUS: Final[Mapping[str, int]] = {
    "input": 400,
    "provider": 502,
    "deadline": 504,
    "agent": 500,
    "tool": 500,
    "state": 500,
    "attempts": 500,
    "turnlane": 500,
    "cancelled": 409,
}
"""The HTTP status of a failed turn, by whose fault it was (`Failure.kind`)."""


WITHOUT_ANSWER: Final[frozenset[Status]] = frozenset(("failed", "cancelled", "needs_attention"))
"""The ends of a turn that a plain create answers with an error."""


class Problem(Exception):
    """An answer that is an error. `extra` are fields beside OpenAI's four."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def to_json(self, request_id: str) -> JsonObject:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": {**error, **self.extra, "request_id": request_id}}

    def body(self, request_id: str) -> bytes:
        return json.dumps(self.to_json(request_id)).encode()


def invalid(message: str, *, param: str | None = None, code: str | None = "invalid_value") -> Problem:
    """400: the request itself is wrong."""
    return Problem(400, message, param=param, code=code)


def not_found(what: str, identifier: str, *, param: str | None = None) -> Problem:
    """404: no such thing, or it belongs to somebody else; the answer is the same for both."""
    return Problem(404, f"no {what} {_shortened(identifier)!r}", param=param, code="not_found")


def conflict(message: str, *, code: str, param: str | None = None) -> Problem:
    """409: right, but not now; the openai client must not repeat it on its own."""
    return Problem(409, message, code=code, param=param, headers=NO_RETRY)


def bug(request_id: str) -> Problem:
    """500: a mistake of ours, never put on the user or his agent."""
    return Problem(
        500,
        f"a bug in Turnlane, not in your request or your agent; please report it with request id {request_id} "
        "and the server's log line of that id",
        type="turnlane_error",
        code="internal_error",
        headers=NO_RETRY,
    )


def of_exception(error: EngineError | ReentrantRun, *, operator: bool = False) -> Problem:
    """What the runtime refused or could not do. What is wrong with the store is for the log and for operators."""
    if isinstance(error, EngineUnavailable):
        return _unavailable(error, operator)
    for kind, make in _BY_KIND.items():
        if isinstance(error, kind):
            return make(error)
    return Problem(503, str(error), type="server_error", code="unavailable", headers=dict(TRY_AGAIN))


def of_turn(turn: Turn, *, operator: bool = False) -> Problem:
    """The answer of a plain create whose turn ended without an answer."""
    failure = turn.failure or _CANCELLED
    kind = "cancelled" if turn.status == "cancelled" else failure.kind
    return Problem(
        FAILURE_STATUS.get(kind, 500),
        message_of(failure, turn, operator=operator),
        type=f"{kind}_error",
        code=failure.code,
        headers=NO_RETRY,
        extra={**cause(failure), "response_id": turn.id, "conversation_id": turn.conversation},
    )


def message_of(failure: Failure, turn: Turn, *, operator: bool) -> str:
    """What a failure says to its reader: its text, or for users whom it might show too much, where the text is."""
    if operator or not failure.private:
        return failure.message
    place = f"request id {turn.request_id}" if turn.request_id is not None else f"turn {turn.id}"
    return f"{failure.type}: its text is in the server's log, {place}"


def cause(failure: Failure) -> JsonObject:
    """The extra fields of a failure: what happened where, and the page that explains it."""
    fields: JsonObject = {"error_type": failure.type, "agent": failure.agent, "tool": failure.tool}
    if failure.hazard is not None:
        fields["hazard"] = failure.hazard
        fields["hazard_url"] = hazards.url_of(failure.hazard)
    return fields


_CANCELLED: Final = Failure(
    type="Cancelled", message="the turn was cancelled", kind="cancelled", code="turn_cancelled"
)


def _retry_later(status: int, code: str, type: str) -> Callable[[Any], Problem]:
    def make(error: LaneFull | QueueFull | Draining) -> Problem:
        # Whole seconds, as RFC 9110 (10.2.3) wants it; never 0, which clients take as "no advice".
        wait = max(1, round(error.retry_after))
        return Problem(status, str(error), type=type, code=code, headers={"Retry-After": str(wait)})

    return make


def _reentrant(error: Exception) -> Problem:
    extra = {"hazard": "TL402", "hazard_url": hazards.url_of("TL402"), "error_type": "ReentrantRun"}
    return Problem(409, str(error), code="reentrant_run", headers=NO_RETRY, extra=extra)


def _unavailable(error: EngineUnavailable, operator: bool) -> Problem:
    # Whether it was stored is not known: the connection may have broken after the commit and before its answer.
    said = (
        "the store can't be used at the moment; try again in a few seconds, and with the same Idempotency-Key "
        "a message runs once however often it is sent"
    )
    said += f" ({error})" if operator else ""
    return Problem(503, said, type="server_error", code=ENGINE_UNAVAILABLE, headers=dict(TRY_AGAIN))


_BY_KIND: Final[Mapping[type[Exception], Callable[[Any], Problem]]] = {
    LaneFull: _retry_later(429, "lane_full", "rate_limit_error"),
    QueueFull: _retry_later(429, "queue_full", "rate_limit_error"),
    Draining: _retry_later(503, "draining", "server_error"),
    ConversationBusy: lambda error: conflict(str(error), code="conversation_busy"),
    NotLatest: lambda error: conflict(str(error), code="not_latest_response", param="previous_response_id"),
    ConversationNotFound: lambda error: Problem(404, str(error), param="conversation", code="not_found"),
    UnknownAgent: lambda error: Problem(404, str(error), param="model", code="model_not_found"),
    WrongAgent: lambda error: Problem(400, str(error), param="model", code="wrong_agent"),
    IdempotencyMismatch: lambda error: conflict(str(error), code="idempotency_mismatch"),
    ReentrantRun: _reentrant,
    Refused: lambda error: conflict(str(error), code="refused"),
}
"""In this order: the first kind that matches."""


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
