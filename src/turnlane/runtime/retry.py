"""Whether a failed model call is tried again, and when. Pure: no clock, no I/O, no randomness of its own.

Retries live at the model boundary and only there (hazard TL305). A fault is retried when it is transient:
the connection failed, a read timed out, 408, 409, 429 that is not a quota, 5xx. Everything else would fail
again in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

FaultKind: TypeAlias = Literal["refused", "overloaded", "transient", "deterministic"]
"""refused: 429. overloaded: 503, 529. transient: may work the next time. deterministic: will not."""

QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "access_terminated"})

REQUEST_CODES: Final = frozenset(
    {"context_length_exceeded", "content_filter", "content_policy_violation", "invalid_api_key", "model_not_found"}
)
"""Codes of errors that lie in the request; needed where an error comes inside a stream, without a status."""

BASE_DELAY: Final = 0.25
MAX_DELAY: Final = 20.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A failed model call, told in terms of HTTP. `status` None: there was no answer."""

    kind: FaultKind
    status: int | None = None
    retry_after: float | None = None
    """Seconds, from `Retry-After` or `retry-after-ms`."""
    rate: float | None = None
    """Requests per second that the provider says it grants, from its `x-ratelimit-*` headers."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again; `reason` completes the sentence "not tried again: ..."."""

    reason: str


def classify(status: int | None, code: str | None, headers: Mapping[str, str]) -> Fault:
    """The fault that an HTTP answer means. `code` is OpenAI's `error.code`; header names are lower case.

    `status` None: there was no answer, or the error came inside a stream that had begun with 200.
    """
    retry_after = parse_retry_after(headers)
    if code in QUOTA_CODES or headers.get("x-should-retry") == "false":
        return Fault("deterministic", status)
    if status == 429 or (status is None and code == "rate_limit_exceeded"):
        return Fault("refused", status, retry_after, granted_rate(headers))
    if status is None:
        return Fault("deterministic" if code in REQUEST_CODES else "transient")
    if status in (503, 529):
        return Fault("overloaded", status, retry_after)
    if status in (408, 409) or status >= 500:
        return Fault("transient", status, retry_after)
    return Fault("deterministic", status)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` (OpenAI) or `Retry-After` (RFC 9110, 10.2.3).

    A date is read against the answer's own `Date`, so that no two clocks are compared. A negative number or
    nonsense gives None: the computed delay is used then."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            seconds = float(raw) * unit
        except ValueError:
            seconds = _seconds_between(headers.get("date"), raw)
        if 0 <= seconds < 86_400:
            return seconds
    return None


def granted_rate(headers: Mapping[str, str]) -> float | None:
    """Requests per second, from the `x-ratelimit-*-requests` headers of a refusal (OpenAI and most others).

    They tell how many requests the bucket holds and when it is full again. Only an empty bucket tells its
    rate; when there are requests left, something else was exceeded, such as tokens.
    """
    try:
        limit = float(headers["x-ratelimit-limit-requests"])
        remaining = float(headers["x-ratelimit-remaining-requests"])
        until_full = _go_duration(headers["x-ratelimit-reset-requests"])
    except (KeyError, ValueError):
        return None
    if not (1 <= limit < 1e9 and remaining == 0 and 0 < until_full < 1e9):
        return None
    return limit / until_full


_GO_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_GO_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")


def _go_duration(text: str) -> float:
    """Seconds of `6m0s`, `1.5s`, `120ms`, or a bare number."""
    text = text.strip()
    parts = _GO_PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    return float(text)


def _seconds_between(start: str | None, end: str) -> float:
    """Seconds between two HTTP dates; -1 when one of them is none."""
    if start is None:
        return -1.0
    try:
        return (parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds()
    except (ValueError, TypeError):
        return -1.0


def decide(
    fault: Fault,
    *,
    attempt: int,
    max_attempts: int,
    seconds_left: float | None,
    budget_left: bool,
    jitter: float,
) -> Again | GiveUp:
    """What to do after attempt number `attempt` (from 1) failed.

    Args:
        seconds_left: until the turn's deadline; None without a deadline.
        budget_left: whether the provider's retry budget has a retry left.
        jitter: a random number from 0 to 1 (full jitter for computed delays, up to a tenth on top of a
            `Retry-After`, which is never shortened).
    """
    if fault.kind == "deterministic":
        return GiveUp("the same call would fail in the same way")
    if attempt >= max_attempts:
        return GiveUp(f"it was tried {attempt} times")
    # A provider that refuses says when to come back; waiting for it is not a storm, so it is free.
    if not budget_left and fault.kind != "refused":
        return GiveUp("the provider's retry budget is used up: too many of its calls fail")
    if fault.retry_after is not None:
        delay = fault.retry_after * (1 + 0.1 * jitter)
    else:
        delay = min(MAX_DELAY, BASE_DELAY * 2 ** (attempt - 1)) * (0.5 + 0.5 * jitter)
    if seconds_left is not None and delay >= seconds_left:
        return GiveUp(f"the provider asks for {delay:.1f} s and the turn's deadline is in {seconds_left:.1f} s")
    return Again(delay)


@dataclass
class RetryBudget:
    """At most `ratio` retries per call, over what a provider was asked lately, plus a small reserve.

    When a provider is down, every call fails: without a budget each is sent `max_attempts` times and the
    load multiplies just when the provider can least take it. The reserve is for a short fault that meets
    everything that is under way at once, such as a provider's restart.
    """

    ratio: float = 0.2
    reserve: float = 50.0
    tokens: float = 50.0
    on_spend: Callable[[], None] | None = None
    _called: int = 0
    _spent: int = 0

    def called(self) -> None:
        self._called += 1
        self.tokens = min(self.reserve, self.tokens + self.ratio)

    def left(self) -> bool:
        return self.tokens >= 1.0

    def spend(self) -> None:
        self._spent += 1
        self.tokens -= 1.0
        if self.on_spend is not None:
            self.on_spend()

    def counts(self) -> tuple[int, int]:
        """Calls and retries since the last time this was asked."""
        counts = self._called, self._spent
        self._called = self._spent = 0
        return counts

    def divided(self, tokens: float) -> None:
        """This process's part of a budget that is shared, as it was when `counts` was asked."""
        self.tokens = tokens + self.ratio * self._called - self._spent
