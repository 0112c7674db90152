"""What engines keep as JSON text, and what they say when they end a turn themselves. The same for every store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from turnlane.runtime.conversation import (
    CANCELLED,
    ROLLED_BACK,
    Failure,
    JsonObject,
    LedgerEntry,
    NewTurn,
    Outcome,
    StopAsk,
    Turn,
    TurnEvent,
    Usage,
)
from turnlane.runtime.engine import NotJson
from turnlane.runtime.lifecycle import Move

_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_text(value: object) -> str:
    """Compact JSON, in ASCII: a lone surrogate of a model's answer could not be stored as UTF-8.

    Raises:
        TypeError, ValueError: it is not JSON.
    """
    return _encode(value)


class told_as_json:
    """Turns the errors of a value that is not JSON into `NotJson`, before anything is written."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, TypeError | ValueError | RecursionError):
            raise NotJson(self._what, error) from error


# --- turns ---


def request_text(asked: NewTurn | Turn) -> str:
    """What a turn was asked."""
    request: JsonObject = {"input": list(asked.input)}
    if asked.metadata:
        request["metadata"] = dict(asked.metadata)
    if asked.options:
        request["options"] = dict(asked.options)
    if asked.request_id is not None:
        request["request_id"] = asked.request_id
    return to_text(request)


def request_fields(text: str) -> dict[str, Any]:
    """The fields of `Turn` that `request_text` keeps."""
    request = json.loads(text)
    return {
        "input": request["input"],
        "metadata": request.get("metadata", {}),
        "options": request.get("options", {}),
        "request_id": request.get("request_id"),
    }


def result_text(outcome: Outcome) -> str:
    """What a turn came to."""
    result: JsonObject = {"output": list(outcome.output), "usage": _usage_row(outcome.usage)}
    if outcome.failure is not None:
        result["failure"] = outcome.failure.to_json()
    if outcome.incomplete is not None:
        result["incomplete"] = outcome.incomplete
    return to_text(result)


def result_fields(text: str | None) -> dict[str, Any]:
    """The fields of `Turn` that `result_text` keeps; None: the turn has not ended."""
    result = json.loads(text) if text is not None else {}
    failure = result.get("failure")
    return {
        "output": result.get("output") or (),
        "usage": Usage(*result.get("usage", ())),
        "failure": Failure.from_json(failure) if failure is not None else None,
        "incomplete": result.get("incomplete"),
    }


def _usage_row(usage: Usage) -> list[int]:
    return [usage.input_tokens, usage.output_tokens, usage.model_calls, usage.retries]


def ended_turn(turn: Turn, outcome: Outcome, now: float) -> Turn:
    """The turn as it is read back from the store: it has one shape, wherever it comes from."""
    return turn.with_(
        status=outcome.status,
        output=list(outcome.output) or (),
        usage=outcome.usage,
        failure=outcome.failure,
        incomplete=outcome.incomplete,
        finished_at=now,
    )


def joined_turn(turn: Turn, new: NewTurn, not_before: float | None) -> Turn:
    """A turn that waits, after the message `new` has joined it: the input of both in order.

    Of metadata and options that both have the later wins. It stays the turn that its first message made, with that
    one's request id and idempotency key.
    """
    return turn.with_(
        input=[*turn.input, *new.input],
        metadata={**turn.metadata, **new.metadata},
        options={**turn.options, **new.options},
        not_before=not_before,
    )


# --- events, ledgers, items ---


def events_text(events: Sequence[TurnEvent]) -> str:
    return to_text([event.to_json() for event in events])


def events_of(text: str) -> list[TurnEvent]:
    return [TurnEvent.from_json(event) for event in json.loads(text)]


def ledger_text(entries: Sequence[LedgerEntry]) -> str:
    return to_text([entry.to_json() for entry in entries])


def ledger_of(text: str) -> list[LedgerEntry]:
    return [LedgerEntry.from_json(entry) for entry in json.loads(text)]


def item_rows(position: int, items: Sequence[Mapping[str, Any]]) -> list[tuple[int, str | None, str]]:
    """Rows (position, id, data) for items that are added from `position` on."""
    return [(position + i, item.get("id"), to_text(item)) for i, item in enumerate(items)]


# --- the ends that an engine makes itself ---

STOPPED: Final[Mapping[StopAsk, tuple[Move, Failure | None]]] = {
    "cancel": ("cancel", CANCELLED),
    "interrupt": ("interrupt", None),
    "rollback": ("cancel", ROLLED_BACK),
}
"""How a turn ends that was asked to stop and has no owner (any more). An interrupted turn did not fail."""


def stop_after(before: StopAsk | None, asked: StopAsk) -> StopAsk:
    """What a turn is told that is asked to stop again: who wants it forgotten wins over who wants it kept."""
    return asked if before in (None, "interrupt") else before


def outcome_after_stop(outcome: Outcome, stop_asked: StopAsk | None) -> Outcome:
    """What is kept of an outcome that came after somebody asked for a stop.

    A turn that was quicker than a cancel or an interrupt has ended as it says. One that was rolled back is
    forgotten even so: whoever rolled it back was told that no agent will see it. One that was interrupted first
    and then cancelled or rolled back ends as the later of them says.
    """
    if stop_asked is None or stop_asked == "interrupt":
        return outcome
    forgotten = ("completed", "incomplete", "interrupted") if stop_asked == "rollback" else ("interrupted",)
    if outcome.status not in forgotten:
        return outcome
    _, failure = STOPPED[stop_asked]
    events = [
        replace(event, data={**event.data, "status": "cancelled"}) if event.kind == "finished" else event
        for event in outcome.events
    ]
    return replace(outcome, status="cancelled", failure=failure, incomplete=None, state=None, events=events)


def attempts_exhausted(attempts: int) -> Failure:
    return Failure(
        type="AttemptsExhausted",
        message=f"the server died {attempts} times while this turn ran; it is not started again",
        kind="attempts",
        code="attempts_exhausted",
    )
