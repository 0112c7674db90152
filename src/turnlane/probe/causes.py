"""The first cause of a failed request: what lies behind the 500."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from turnlane.practice import RecordedRequest
from turnlane.practice.pairing import check_pairing
from turnlane.practice.refusal import Refusal
from turnlane.practice.shape import check_shape
from turnlane.probe.answer_text import refusal_text
from turnlane.probe.guard_records import one_line
from turnlane.probe.report import Cause, CauseSource
from turnlane.probe.tracebacks import Raised

_NAMES_AN_ERROR: Final = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Timeout)\b")
_SAYS_NOTHING: Final = re.compile(
    r"^\W*(?:(?:50\d|http)\W*)*(?:internal server error|server error|internal error|error|"
    r"an? (?:unexpected |internal |unknown )*error (?:has )?occurr?ed|something went wrong|oops|failed)?"
    r"(?: ?[.!:]? ?please try again(?: later)?)?\W*$",
    re.IGNORECASE,
)
_FAULTS: Final[Mapping[str, str]] = {
    "rate_limit": "rate limit",
    "insufficient_quota": "quota used up",
    "unauthorized": "key refused",
    "hang": "no answer at all",
    "drop": "connection dropped",
    "html": "an HTML page in place of JSON",
    "malformed_json": "broken JSON",
    "malformed_stream": "a broken stream",
    "cut_stream": "a stream cut before its end",
    "stall_stream": "a stream that stands still",
    "empty": "an empty answer",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """How a failed request ended: the answer, or why there is none."""

    status: int | None
    body: str
    content_type: str
    broken: Cause | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a failed request beside its answer."""

    guard: Cause | None
    raised: Raised | None
    calls: Sequence[RecordedRequest]


def first_cause(answered: Answered, told: Told) -> Cause:
    """The innermost cause that anybody tells. A bare status only when nobody says more.

    The exception in the program comes first, as the guard or a traceback shows it; then an answer that names an
    exception; then what the provider refused; then an answer that says anything; then the connection.
    """
    body = _body_cause(answered)
    names_error = body if body is not None and _NAMES_AN_ERROR.search(body.message) else None
    found = (
        told.guard
        or _raised_cause(told.raised)
        or names_error
        or _provider_cause(told.calls)
        or body
        or answered.broken
    )
    return found or _bare(answered)


def connection_cause(kind: str, message: str, source: CauseSource = "connection") -> Cause:
    """A request that got no whole answer."""
    return Cause(text=one_line(kind, message), kind=kind, message=message, source=source)


def provider_error(record: RecordedRequest, said: str | None = None) -> str | None:
    """What the provider refused, as one line; None for an answer that is none of an error.

    Args:
        said: the error's text, if it was recorded.
    """
    if record.fault is not None:
        shown = _FAULTS.get(record.fault, record.fault.replace("_", " "))
        return f"{record.status or 'no answer'}: {shown}" if record.status != 200 else shown
    if record.status is None or record.status < 400:
        return None
    text = said or _recomputed(record.body)
    if text is None and record.status == HTTPStatus.TOO_MANY_REQUESTS:
        text = "rate limit"
    return f"{record.status}: {text}" if text else str(record.status)


def nearest(raised: Sequence[tuple[float, Raised]], moments: Mapping[str, float]) -> dict[str, Raised]:
    """Tracebacks, which carry no id, for failed requests, each for one: those that end nearest in time.

    Args:
        raised: tracebacks, and when each was written.
        moments: when each failed request ended, by its id.
    """
    pairs = sorted(
        (abs(moment - at), request, number)
        for number, (at, _) in enumerate(raised)
        for request, moment in moments.items()
    )
    found: dict[str, Raised] = {}
    used: set[int] = set()
    for _, request, number in pairs:
        if request not in found and number not in used:
            found[request] = raised[number][1]
            used.add(number)
    return found


def _raised_cause(raised: Raised | None) -> Cause | None:
    if raised is None:
        return None
    return Cause(
        text=one_line(raised.kind, raised.message),
        kind=raised.kind,
        message=raised.message,
        source="log",
        frames=raised.frames,
    )


def _body_cause(answered: Answered) -> Cause | None:
    if answered.status is None:
        return None
    said = refusal_text(answered.body, answered.content_type)
    if not said or _SAYS_NOTHING.match(said):
        return None
    named = _NAMES_AN_ERROR.search(said)
    kind = named[0] if named else f"HTTP {answered.status}"
    text = said if named else f"{answered.status}: {said}"
    return Cause(text=one_line("", text).removeprefix(": "), kind=kind, message=said, source="answer")


def _provider_cause(calls: Sequence[RecordedRequest]) -> Cause | None:
    for record in calls:
        if (error := provider_error(record)) is not None:
            return Cause(
                text=one_line("the provider answered", error),
                kind=f"provider {record.status}" if record.status else "provider",
                message=error,
                source="provider",
            )
    return None


def _bare(answered: Answered) -> Cause:
    if answered.status is None:
        return connection_cause("no answer", "")
    try:
        phrase = HTTPStatus(answered.status).phrase
    except ValueError:
        phrase = "unknown status"
    message = f"{phrase}; neither the answer nor the program's output says why"
    return Cause(
        text=f"HTTP {answered.status}: {message}", kind=f"HTTP {answered.status}", message=message, source="answer"
    )


def _recomputed(body: Any) -> str | None:
    """Why the practice provider refuses a body: it records what it was sent, not what it said."""
    try:
        check_shape(body)
        check_pairing(body["messages"])
    except Refusal as refusal:
        return refusal.message
    except (KeyError, TypeError):
        return None
    return None
