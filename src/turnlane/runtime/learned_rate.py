"""The rate of calls that a provider takes, learned from its refusals (429). Pure: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DECREASE: Final = 0.7
"""What is left of a limit after the provider had too much."""

WINDOW: Final = 1.0
"""Seconds over which calls are counted to guess a rate, and between two rises of the rate."""

ENOUGH: Final = 3
"""Calls that must have been let through between two refusals before their number counts as a measurement."""

SLOWEST: Final = 0.01
"""Calls per second that are sent however often the provider refuses."""

GRAIN: Final = 0.005
"""Seconds within which starts are remembered as one entry."""

LONG_AGO: Final = float("-inf")


@dataclass(slots=True)
class LearnedRate:
    """How many calls per second a provider takes.

    Each refusal says that the provider's bucket is empty, so the calls let through between two refusals measure
    what it refills. Calls are then spaced at a little less than that; the spacing shrinks slowly near the known
    rate, and faster the longer nothing is refused. Refusals of calls that were sent before the last decrease teach
    nothing new.

    Calls are told in any portions: by a process as they start, or by several processes a moment later. All times
    are seconds of one clock.
    """

    ceiling: float = 1000.0
    rate: float | None = None
    """Calls per second, or None while the provider never refused."""
    next_start: float = LONG_AGO
    """When the next call may start."""
    cut_at: float = LONG_AGO
    guessed: bool = False
    """The rate comes from the first burst, which also emptied the provider's bucket."""
    known: float = 0.0
    """The rate that the last refusal taught."""
    _held_at: float = LONG_AGO
    """When a call was last kept waiting by the rate: without such calls a rise of the rate is not tried out."""
    _raised_at: float = LONG_AGO
    _last_start: float = LONG_AGO
    _granted: int = 0
    """Calls sent and not refused."""
    _granted_before: int = 0
    _emptied_at: float | None = None
    """When the bucket was last seen empty; None after a time without calls, in which it filled again."""
    _starts: deque[list[float]] = field(default_factory=lambda: deque(maxlen=1024))
    """When calls started lately, and how many of them were not refused yet: `[time, number]`."""

    def held(self, now: float) -> None:
        """A call waits, because of the rate."""
        self._held_at = now

    def started(self, at: float, calls: int = 1) -> None:
        """So many calls were sent at that time."""
        self._granted += calls
        if self._starts and self._starts[-1][0] <= at < self._starts[-1][0] + GRAIN:
            self._starts[-1][1] += calls
        else:
            self._starts.append([at, calls])
        if self.guessed and at <= self.cut_at:
            # Another process sent them before anybody had heard of the refusal.
            self._set_rate(max(self.known, self._guess(self.cut_at)))
            return
        self._last_start = max(self._last_start, at)

    def space(self, at: float, paused_until: float = LONG_AGO) -> None:
        """A call starts at that time: the next one is due a little later."""
        if at - max(self._last_start, self.next_start, paused_until) > WINDOW:
            self._emptied_at = None
        if self.rate is not None:
            self.next_start = max(self.next_start, at) + 1.0 / self.rate

    def turned_away(
        self,
        now: float,
        started: float,
        retry_after: float | None = None,
        granted: float | None = None,
        *,
        news: bool | None = None,
    ) -> None:
        """The provider refused a call sent at `started`.

        Args:
            granted: the rate it says it grants.
            news: whether the caller knew of the last decrease when it sent the call; None: by `started`.
        """
        self._granted -= 1
        self._forget_one(started)
        if started > self.cut_at if news is None else news:
            self._cut(now, granted, retry_after)
        elif self.guessed:
            # The rest of the first burst comes back: the fewer were let through, the lower the guess.
            self._set_rate(min(self.known, self._guess(now)))

    def plan_anew(self, now: float) -> None:
        """Forget the starts that were planned: the next call is due as if only those that were sent counted."""
        since = 1.0 / self.rate if self.rate is not None else 0.0
        self.next_start = max(now, self._last_start + since)

    def shift(self, seconds: float) -> None:
        """Move all times: the clock was set."""
        self.next_start += seconds
        self.cut_at += seconds
        self._held_at += seconds
        self._raised_at += seconds
        self._last_start += seconds
        if self._emptied_at is not None:
            self._emptied_at += seconds
        for entry in self._starts:
            entry[0] += seconds

    def to_json(self, now: float) -> dict[str, Any]:
        """What of it must be kept at the time `now`."""
        starts = [entry for entry in self._starts if now - entry[0] <= WINDOW]
        kept = {name: getattr(self, name) for name in _KEPT}
        return {name: None if value == LONG_AGO else value for name, value in kept.items()} | {"starts": starts}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> LearnedRate:
        """The inverse of `to_json`."""
        learned = cls()
        for name in _KEPT:
            if kept.get(name) is not None:
                setattr(learned, name, kept[name])
        learned._starts.extend(kept.get("starts", ()))
        return learned

    def succeeded(self, now: float) -> None:
        """A call was answered: perhaps the provider takes more."""
        if self.rate is None or now - self._raised_at < WINDOW:
            return
        if now - self._held_at > WINDOW + 1.0 / self.rate:
            return
        self._raised_at = now
        if self.guessed or self.rate > 2 * self.known:
            self.rate *= 1.5
        else:
            self.rate *= 1.03 if self.rate < 1.1 * self.known else 1.1
        if self.rate > self.ceiling:
            self.rate = None

    def _cut(self, now: float, granted: float | None, retry_after: float | None) -> None:
        self.cut_at = self._raised_at = now
        let_through = self._granted - self._granted_before
        bound = _bound(granted, retry_after)
        if self.rate is None:
            self.guessed = granted is None
            self._set_rate(granted or min(bound, self._guess(now)))
        elif self._emptied_at is not None and let_through >= ENOUGH and now > self._emptied_at:
            # Too low when the bucket ran over meanwhile, because calls were spaced more than needed.
            measured = let_through / (now - self._emptied_at)
            self.guessed = False
            self._set_rate(min(self.rate, bound, max(measured, self.rate * DECREASE)))
        else:
            self._set_rate(min(bound, self.rate * DECREASE))
            if self._emptied_at is not None:
                return  # the measurement goes on
        self._emptied_at = now
        self._granted_before = self._granted

    def _set_rate(self, rate: float) -> None:
        self.known = min(self.ceiling, max(SLOWEST, rate))
        self.rate = max(SLOWEST, 0.95 * self.known)

    def _forget_one(self, started: float) -> None:
        for entry in reversed(self._starts):
            if entry[0] <= started:
                entry[1] = max(0, entry[1] - 1)
                return

    def _guess(self, now: float) -> float:
        """What was let through lately. At least one per second: one refusal alone is no measurement."""
        while self._starts and now - self._starts[0][0] > WINDOW:
            self._starts.popleft()
        return max(1.0, sum(calls for at, calls in self._starts if now - WINDOW <= at <= now) / WINDOW)


_KEPT: Final = (
    "rate",
    "next_start",
    "cut_at",
    "guessed",
    "known",
    "_held_at",
    "_raised_at",
    "_last_start",
    "_granted",
    "_granted_before",
    "_emptied_at",
)


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
