"""Bounds of queues, and the limit that adapts to a provider. Pure: time comes in as an argument."""

from __future__ import annotations

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


GROWTH_FLOOR: Final = 1.0
REFUSAL_FACTOR: Final = 0.7
RATE_WINDOW: Final = 1.0
"""Seconds over which successes are counted when a provider refuses, to learn its rate."""


@dataclass
class AdaptiveLimit:
    """How many calls a provider takes at once and per second, learned from its answers.

    Additive increase, multiplicative decrease. `concurrency` doubles per round trip until the first
    refusal (slow start), then grows by one per round trip. The first refusal also teaches a rate: what
    the provider accepted within the last `RATE_WINDOW`; calls are then spaced, and the rate grows by a
    tenth for every `RATE_WINDOW` without a refusal. A `Retry-After` pauses everything until it is over,
    since the provider answers for all callers.

    All times are seconds of one monotonic clock.
    """

    concurrency: float = 10.0
    ceiling: float = 1000.0
    rate: float | None = None
    """Calls per second, or None while the provider never refused."""
    running: int = 0
    refused: int = 0
    paused_until: float = 0.0
    slow_start: bool = True
    _next_start: float = 0.0
    _rate_raised_at: float = 0.0
    _decreased_at: float = -1e9
    _accepted: list[float] = field(default_factory=list)

    def wait(self, now: float) -> float | None:
        """Seconds until a call may start (0: now), or None: when another call has ended."""
        if self.running >= max(1, int(self.concurrency)):
            return None
        return max(0.0, self.paused_until - now, self._next_start - now)

    def start(self, now: float) -> None:
        self.running += 1
        if self.rate is not None:
            self._next_start = max(self._next_start, now) + 1.0 / self.rate

    def succeeded(self, now: float) -> None:
        self.running -= 1
        self._remember(now)
        self.concurrency = min(
            self.ceiling, self.concurrency + (1.0 if self.slow_start else 1.0 / max(1.0, self.concurrency))
        )
        if self.rate is not None and now - self._rate_raised_at >= RATE_WINDOW:
            self._rate_raised_at = now
            self.rate *= 1.1

    def failed(self, now: float) -> None:
        """The call ended without telling anything about the limit (an error that is not a refusal)."""
        self.running -= 1

    def overloaded(self, now: float, retry_after: float | None) -> None:
        """The provider refused the call (429) or said it has too much to do (503, 529)."""
        self.running -= 1
        self.refused += 1
        if retry_after is not None:
            self.paused_until = max(self.paused_until, now + retry_after)
        self._accepted = [t for t in self._accepted if now - t <= RATE_WINDOW]
        # Calls that were sent together are refused together: one decrease for all of them.
        if now - self._decreased_at < RATE_WINDOW:
            return
        self._decreased_at = now
        self._rate_raised_at = now
        self.slow_start = False
        self.concurrency = max(GROWTH_FLOOR, self.concurrency * REFUSAL_FACTOR)
        seen = len(self._accepted) / RATE_WINDOW
        learned = max(seen, 0.5) if self.rate is None else max(0.5, self.rate * REFUSAL_FACTOR)
        self.rate = learned
        self._next_start = max(self._next_start, self.paused_until, now + 1.0 / learned)

    def _remember(self, now: float) -> None:
        self._accepted.append(now)
        if len(self._accepted) > 4096:
            self._accepted = [t for t in self._accepted if now - t <= RATE_WINDOW][-2048:]
