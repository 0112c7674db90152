"""Outcomes of levels as tests want them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from turnlane.practice import RecordedRequest
from turnlane.probe.conditions import Conditions
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import Cause, Hazard, Leak, Level, ProviderCall, RequestRecord

PROMPT = "My secret word is canarybcdfghjk."
OWN = "canarybcdfghjk"


def call(number: int = 1, started: float = 0.1, finished: float | None = 0.2, **changes: Any) -> ProviderCall:
    return ProviderCall(**{"number": number, "started": started, "finished": finished, "status": 200, **changes})


def request(number: int = 1, *calls: ProviderCall, **changes: Any) -> RequestRecord:
    made = {
        "id": f"r{number}",
        "concurrency": 1,
        "round": 1,
        "turn": 1,
        "user": f"user {number}",
        "conversation": f"c{number}",
        "prompt": PROMPT,
        "started": 0.0,
        "finished": 0.3,
        "status": 200,
        "answer": "Your order is on its way.",
        "calls": calls,
    }
    return RequestRecord(**{**made, **changes})


def failed(number: int = 1, *calls: ProviderCall, status: int | None = 500, **changes: Any) -> RequestRecord:
    """A request that failed and of which nobody says why."""
    cause = Cause(text="HTTP 500", kind="HTTP 500", message="nobody says why", source="answer")
    return request(number, *calls, **{"status": status, "cause": cause, "answer": "Oops", **changes})


def cause(text: str, kind: str = "RuntimeError") -> Cause:
    return Cause(text=text, kind=kind, message=text, source="guard")


def recorded(
    number: int, body: Any, *, status: int | None = 200, fault: str | None = None, **changes: Any
) -> RecordedRequest:
    made = {
        "number": number,
        "started": float(number),
        "finished": number + 0.5,
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": {},
        "body": body,
        "status": status,
        "fault": fault,
        "disconnected": False,
    }
    return RecordedRequest(**{**made, **changes})


def said(*messages: tuple[str, str]) -> dict[str, Any]:
    """A request's body from roles and texts."""
    return {"model": "m", "messages": [{"role": role, "content": text} for role, text in messages]}


def outcome(
    *requests: RequestRecord,
    concurrency: int = 1,
    records: Iterable[RecordedRequest] = (),
    output: Sequence[str] = (),
    hazards: Sequence[Hazard] = (),
    leaks: Sequence[Leak] = (),
    listened: bool = True,
    **conditions: Any,
) -> LevelOutcome:
    """A level with these requests."""
    level = Level(
        concurrency=concurrency,
        requests=len(requests),
        succeeded=sum(one.succeeded for one in requests),
        leaks=sum(bool(one.leaked) for one in requests),
        lost=sum(one.lost for one in requests),
    )
    return LevelOutcome(
        conditions=Conditions(concurrency=concurrency, **conditions),
        level=level,
        requests=requests,
        leaks=tuple(leaks),
        hazards=tuple(hazards),
        calls=tuple(call for one in requests for call in one.calls),
        recorded={record.number: record for record in records},
        owners={call.number: one.id for one in requests for call in one.calls},
        output=tuple(output),
        listened=listened,
    )


def leak(owner: str = "user 1", seen_by: str = "user 2") -> Leak:
    return Leak(
        owner=owner, seen_by=seen_by, where="prompt", concurrency=1, round=1, word=OWN, text=OWN,
        owner_request="r1", seen_request="r2",
    )  # fmt: skip
