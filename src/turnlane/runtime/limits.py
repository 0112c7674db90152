"""Bounds of queues, and the limit that adapts to a provider. Pure: time comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from turnlane.runtime.learned_rate import DECREASE, LONG_AGO, LearnedRate
from turnlane.runtime.token_bucket import TokenBucket


class Bounds(BaseModel):
    """How much may wait (promise 7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lane: int = Field(default=20, ge=1, description="Turns that may wait in one conversation.")
    total: int = Field(default=10_000, ge=1, description="Turns that may wait in all conversations together.")
    attempts: int = Field(
        default=8,
        ge=1,
        description="How often a turn is started before it is failed, if its process keeps dying.",
    )


class ProviderLimits(BaseModel):
    """What one model provider may be sent by all workers together. None: what is learned from its refusals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: float | None = Field(default=None, gt=0, description="Calls per minute.")
    tokens_per_minute: float | None = Field(
        default=None,
        gt=0,
        description="Input and output tokens per minute. A call is let in by an estimate from the calls before, "
        "and settled by what it used.",
    )
    concurrency: int | None = Field(default=None, ge=1, description="Calls under way at once.")
    burst: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Part of a minute's amount that may be sent at once, after a time with less.",
    )

    def requests(self) -> TokenBucket | None:
        """A full bucket of requests."""
        return _bucket(self.requests_per_minute, self.burst)

    def tokens(self) -> TokenBucket | None:
        """A full bucket of tokens."""
        return _bucket(self.tokens_per_minute, self.burst)


def _bucket(per_minute: float | None, burst: float) -> TokenBucket | None:
    if per_minute is None:
        return None
    return TokenBucket(rate=per_minute / 60, capacity=max(1.0, per_minute * burst))


FIRST_PATIENCE: Final = 0.12
PATIENCE: Final = 0.05
"""Seconds without a refusal after which more calls are sent before the first ones are answered: twice as many at
first, then `WIDER` times.

A provider refuses in the time of a round trip, and answers in the time a model needs: waiting for answers
would make the last of 1,000 calls wait for seven others, one after the other.
"""

WIDER: Final = 4.0
LATE: Final = 0.02
"""Seconds by which a look at the limit is late when this process was too busy to hear a refusal."""

EXCUSES: Final = 4
"""How often it is then looked again before the provider counts as silent."""

INSTANT: Final = 1e-6
"""Seconds too short to wait for: adding them to a clock may not even change it."""


@dataclass
class AdaptiveLimit:
    """How many calls a provider takes at once and per second, learned from its answers.

    `concurrency` is for providers that say they have too much to do (503, 529): additive increase,
    multiplicative decrease. Until the first such answer it doubles per round trip, or widens while the
    provider is silent (slow start). It only grows while it is used, so that what it says was tried.

    `rate` is for providers that count requests (429), see `LearnedRate`.

    A `Retry-After` pauses everything until it is over, since the provider answers for all callers.

    All times are seconds of one monotonic clock.
    """

    concurrency: float = 10.0
    ceiling: float = 1000.0
    running: int = 0
    refused: int = 0
    paused_until: float = LONG_AGO
    slow_start: bool = True
    _patience: float = FIRST_PATIENCE
    _quiet_since: float = LONG_AGO
    _excused: int = 0
    _decreased_at: float = LONG_AGO
    _begun: int = 0
    _ended: int = 0
    _first: int = 0
    """How many calls are the first wave, whose answers are all heard before the second; 0: that is over."""

    def __post_init__(self) -> None:
        self._first = int(self.concurrency)
        self._learned = LearnedRate(self.ceiling)

    @property
    def rate(self) -> float | None:
        """Calls per second, or None while the provider never refused."""
        return self._learned.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._learned.rate = rate

    def begin_with(self, calls: float) -> None:
        """How many calls are the first wave; nothing once one was sent."""
        if not self._begun:
            self.concurrency = max(1.0, calls)
            self._first = int(self.concurrency)

    def wait(self, now: float) -> float | None:
        """Seconds until a call may start (0: now), or None: when another call has ended.

        Told that somebody wants to start, it may widen `concurrency` (slow start).
        """
        full = self.running >= max(1, int(self.concurrency))
        if full and (not self.slow_start or self.concurrency >= self.ceiling):
            return None
        if full or self._hears_the_first():
            if (patience := self._patience_left(now)) > INSTANT:
                return patience
            if full:
                wider = 2.0 if self._patience == FIRST_PATIENCE else WIDER
                self.concurrency = min(self.ceiling, self.concurrency * wider)
            self._patience = PATIENCE
            self._first = 0
        next_start = self._learned.next_start
        if next_start > now:
            self._learned.held(now)
        delay = max(self.paused_until, next_start) - now
        return delay if delay > INSTANT else 0.0

    def start(self, now: float) -> None:
        """A call is sent."""
        self.running += 1
        self._begun += 1
        self._quiet_since = now
        self._excused = 0
        self._learned.space(now, self.paused_until)
        self._learned.started(now)

    def succeeded(self, now: float) -> None:
        used = 2 * self.running >= self.concurrency
        self._end()
        if used:
            step = 1.0 if self.slow_start else 1.0 / self.concurrency
            self.concurrency = min(self.ceiling, self.concurrency + step)
        self._learned.succeeded(now)

    def failed(self, now: float) -> None:
        """The call ended without telling anything about the limit (an error that is not a refusal)."""
        self._end()

    def overloaded(self, now: float, started: float, retry_after: float | None = None) -> None:
        """The provider said that it has too much to do (503, 529) to a call sent at `started`."""
        self._end()
        self.narrow(now, started, retry_after, in_use=self.running + 1)

    def narrow(self, now: float, started: float, retry_after: float | None, *, in_use: int) -> None:
        """Learn from an `overloaded` call that ended before; `in_use` calls were under way with it."""
        self._pause(now, retry_after)
        # Calls that were under way together are refused together: one decrease for all of them.
        if started <= self._decreased_at:
            return
        self._decreased_at = now
        self.slow_start = False
        self.concurrency = max(1.0, min(self.concurrency, in_use) * DECREASE)

    def turned_away(
        self, now: float, started: float, retry_after: float | None = None, granted: float | None = None
    ) -> None:
        """The provider refused (429) a call sent at `started`; `granted` is the rate it says it grants."""
        self._end()
        self.slow_down(now, started, retry_after, granted)

    def slow_down(self, now: float, started: float, retry_after: float | None, granted: float | None) -> None:
        """Learn from a call that was `turned_away` and ended before."""
        self.refused += 1
        self._pause(now, retry_after)
        self._learned.turned_away(now, started, retry_after, granted)

    def _end(self) -> None:
        self.running -= 1
        self._ended += 1

    def _hears_the_first(self) -> bool:
        # A provider may answer the first of them before this process has heard that it refused the others.
        return self.slow_start and self.rate is None and self._ended < self._first <= self._begun

    def _pause(self, now: float, seconds: float | None) -> None:
        if seconds is not None:
            self.paused_until = max(self.paused_until, now + seconds)

    def _patience_left(self, now: float) -> float:
        late = now - self._quiet_since - self._patience
        if late > LATE and self._excused < EXCUSES:
            # The silence may be our own: refusals that have arrived are heard first.
            self._excused += 1
            self._quiet_since = now
            return self._patience
        return -late
