"""A real budget of requests per second, as a token bucket, with the headers that OpenAI sends along."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from .mistake import ScriptError

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Grant:
    """What the budget says to one request. Times in seconds."""

    allowed: bool
    limit: int
    remaining: int
    wait: float
    """How long until a request would be allowed; 0 if this one is."""
    until_full: float

    def headers(self) -> Headers:
        """The `x-ratelimit-*` headers, and for a refused request `Retry-After` and `retry-after-ms`."""
        headers = [
            (b"x-ratelimit-limit-requests", b"%d" % self.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % self.remaining),
            (b"x-ratelimit-reset-requests", go_duration(self.until_full).encode()),
        ]
        return headers if self.allowed else headers + wait_headers(self.wait)


class Budget:
    """A token bucket: `burst` requests at once, refilled with `requests_per_second`.

    A refused request takes nothing from the bucket.

    Raises:
        ScriptError: a rate or a burst that is not positive.
    """

    def __init__(
        self,
        requests_per_second: float,
        burst: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _is_number(requests_per_second) or requests_per_second <= 0:
            raise ScriptError(f"'requests_per_second' must be a number above 0, not {requests_per_second!r}")
        if burst is not None and (not _is_number(burst) or burst < 1):
            raise ScriptError(f"'burst' must be a whole number from 1, not {burst!r}")
        self.requests_per_second = requests_per_second
        self.burst = burst if burst is not None else max(1, math.ceil(requests_per_second))
        self._clock = clock
        self._tokens = float(self.burst)
        self._filled_at = clock()

    def __repr__(self) -> str:
        return f"Budget({self.requests_per_second}, burst={self.burst})"

    def full(self) -> Budget:
        """The same budget with nothing used."""
        return Budget(self.requests_per_second, self.burst, clock=self._clock)

    def take(self) -> Grant:
        """Ask for one request now."""
        now = self._clock()
        grown = self._tokens + (now - self._filled_at) * self.requests_per_second
        self._tokens = min(float(self.burst), grown)
        self._filled_at = now
        allowed = self._tokens >= 1
        if allowed:
            self._tokens -= 1
        return Grant(
            allowed=allowed,
            limit=self.burst,
            remaining=int(self._tokens),
            wait=0.0 if allowed else (1 - self._tokens) / self.requests_per_second,
            until_full=(self.burst - self._tokens) / self.requests_per_second,
        )


def wait_headers(seconds: float) -> Headers:
    """`Retry-After` in whole seconds, rounded up, and `retry-after-ms`, as OpenAI sends both."""
    return [
        (b"retry-after", b"%d" % math.ceil(seconds)),
        (b"retry-after-ms", b"%d" % math.ceil(seconds * 1000)),
    ]


def go_duration(seconds: float) -> str:
    """A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    shown = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{shown}" if minutes else shown


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
