"""Bounds of queues, and the limit that adapts to a provider. Pure: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, Field


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


DECREASE: Final = 0.7
"""What is left of a limit after the provider had too much."""

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

WINDOW: Final = 1.0
"""Seconds over which calls are counted to guess a rate, and between two rises of the rate."""

ENOUGH: Final = 3
"""Calls that must have been let through between two refusals before their number counts as a measurement."""

SLOWEST: Final = 0.01
"""Calls per second that are sent however often the provider refuses."""


INSTANT: Final = 1e-6
"""Seconds too short to wait for: adding them to a clock may not even change it."""


@dataclass
class AdaptiveLimit:
    """How many calls a provider takes at once and per second, learned from its answers.

    `concurrency` is for providers that say they have too much to do (503, 529): additive increase,
    multiplicative decrease. Until the first such answer it doubles per round trip, or widens while the
    provider is silent (slow start). It only grows while it is used, so that what it says was tried.

    `rate` is for providers that count requests (429). Each refusal says that the provider's bucket is empty,
    so the calls let through between two refusals measure what it refills. Calls are then spaced at a little
    less than that; the spacing shrinks slowly near the known rate, and faster the longer nothing is
    refused. Refusals of calls that were sent before the last decrease teach nothing new.

    A `Retry-After` pauses everything until it is over, since the provider answers for all callers.

    All times are seconds of one monotonic clock.
    """

    concurrency: float = 10.0
    ceiling: float = 1000.0
    rate: float | None = None
    """Calls per second, or None while the provider never refused."""
    running: int = 0
    refused: int = 0
    paused_until: float = float("-inf")
    slow_start: bool = True
    _patience: float = FIRST_PATIENCE
    _quiet_since: float = float("-inf")
    _excused: int = 0
    _last_start: float = float("-inf")
    _next_start: float = float("-inf")
    _held_at: float = float("-inf")
    """When a call was last kept waiting by the rate: without such calls a rise of the rate is not tried out."""
    _decreased_at: float = float("-inf")
    _rate_cut_at: float = float("-inf")
    _rate_raised_at: float = float("-inf")
    _guessed: bool = False
    """The rate comes from the first burst, which also emptied the provider's bucket."""
    _known: float = 0.0
    """The rate that the last refusal taught."""
    _granted: int = 0
    """Calls sent and not refused."""
    _emptied_at: float | None = None
    """When the bucket was last seen empty; None after a time without calls, in which it filled again."""
    _granted_before: int = 0
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
    _begun: int = 0
    _ended: int = 0
    _first: int = 0
    """How many calls are the first wave, whose answers are all heard before the second; 0: that is over."""

    def __post_init__(self) -> None:
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
        if self._next_start > now:
            self._held_at = now
        delay = max(self.paused_until - now, self._next_start - now)
        return delay if delay > INSTANT else 0.0

    def start(self, now: float) -> None:
        """A call is sent."""
        if now - max(self._last_start, self._next_start, self.paused_until) > WINDOW:
            self._emptied_at = None
        self.running += 1
        self._begun += 1
        self._granted += 1
        self._last_start = self._quiet_since = now
        self._excused = 0
        self._starts.append(now)
        if self.rate is not None:
            self._next_start = max(self._next_start, now) + 1.0 / self.rate

    def succeeded(self, now: float) -> None:
        used = 2 * self.running >= self.concurrency
        self._end()
        if used:
            step = 1.0 if self.slow_start else 1.0 / self.concurrency
            self.concurrency = min(self.ceiling, self.concurrency + step)
        self._raise_rate(now)

    def failed(self, now: float) -> None:
        """The call ended without telling anything about the limit (an error that is not a refusal)."""
        self._end()

    def overloaded(self, now: float, started: float, retry_after: float | None = None) -> None:
        """The provider said that it has too much to do (503, 529) to a call sent at `started`."""
        in_use = self.running
        self._end()
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
        self.refused += 1
        self._granted -= 1
        if started in self._starts:
            self._starts.remove(started)
        self._pause(now, retry_after)
        if started > self._rate_cut_at:
            self._cut_rate(now, granted, retry_after)
        elif self._guessed:
            # The rest of the first burst comes back: the fewer were let through, the lower the guess.
            self._set_rate(min(self._known, self._guess(now)))

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

    def _cut_rate(self, now: float, granted: float | None, retry_after: float | None) -> None:
        self._rate_cut_at = self._rate_raised_at = now
        let_through = self._granted - self._granted_before
        bound = _bound(granted, retry_after)
        if self.rate is None:
            self._guessed = granted is None
            self._set_rate(granted or min(bound, self._guess(now)))
        elif self._emptied_at is not None and let_through >= ENOUGH and now > self._emptied_at:
            # Too low when the bucket ran over meanwhile, because calls were spaced more than needed.
            measured = let_through / (now - self._emptied_at)
            self._guessed = False
            self._set_rate(min(self.rate, bound, max(measured, self.rate * DECREASE)))
        else:
            self._set_rate(min(bound, self.rate * DECREASE))
            if self._emptied_at is not None:
                return  # the measurement goes on
        self._emptied_at = now
        self._granted_before = self._granted

    def _set_rate(self, rate: float) -> None:
        self._known = min(self.ceiling, max(SLOWEST, rate))
        self.rate = max(SLOWEST, 0.95 * self._known)

    def _guess(self, now: float) -> float:
        """What was let through lately. At least one per second: one refusal alone is no measurement."""
        while self._starts and now - self._starts[0] > WINDOW:
            self._starts.popleft()
        return max(1.0, len(self._starts) / WINDOW)

    def _raise_rate(self, now: float) -> None:
        if self.rate is None or now - self._rate_raised_at < WINDOW:
            return
        if now - self._held_at > WINDOW + 1.0 / self.rate:
            return
        self._rate_raised_at = now
        if self._guessed or self.rate > 2 * self._known:
            self.rate *= 1.5
        else:
            self.rate *= 1.03 if self.rate < 1.1 * self._known else 1.1
        if self.rate > self.ceiling:
            self.rate = None


def _bound(granted: float | None, retry_after: float | None) -> float:
    """What the rate is not above, by the refusal itself.

    A bucket that has no request now and one in `retry_after` seconds refills at most so fast. Whole seconds are
    rounded, or the time until a window of another kind ends, and tell nothing.
    """
    if granted is not None:
        return granted
    if retry_after is not None and 0 < retry_after < 1:
        return 1.5 / retry_after
    return float("inf")
