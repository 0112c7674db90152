"""When a call to a provider may start, as one process knows it: what is configured and what was learned."""

from __future__ import annotations

from typing import Final

from turnlane.runtime.limits import INSTANT, AdaptiveLimit, ProviderLimits
from turnlane.runtime.retry import Fault
from turnlane.runtime.token_bucket import TokenBucket

FIRST_GUESS: Final = 1000.0
"""Tokens of a call, before one was answered."""

FRESHNESS: Final = 0.2
"""Weight of the newest call in what counts as usual."""


class UsualTokens:
    """How many tokens a call takes, guessed from the calls before to the same model."""

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}
        self.latest: float = FIRST_GUESS
        """Of the model that answered last."""

    def of(self, model: str) -> float:
        return self._usual.get(model, self.latest)

    def used(self, model: str, tokens: float) -> None:
        usual = self._usual.get(model, tokens)
        self.latest = self._usual[model] = usual + FRESHNESS * (tokens - usual)


class Limiter:
    """Lets calls start as the provider's answers and the configured limits allow.

    Times are seconds of one monotonic clock; `tokens` is what a call is expected to use.
    """

    def __init__(self, limits: ProviderLimits) -> None:
        self.limits = limits
        self.adaptive = AdaptiveLimit()
        if limits.concurrency is not None:
            self.adaptive.ceiling = float(limits.concurrency)
            self.adaptive.begin_with(min(self.adaptive.concurrency, self.adaptive.ceiling))
        self.requests = limits.requests()
        self.tokens = limits.tokens()

    @property
    def rate(self) -> float | None:
        """Calls per second that were learned, or None."""
        return self.adaptive.rate

    @property
    def concurrency(self) -> float:
        return self.adaptive.concurrency

    def wait(self, now: float, tokens: float) -> float | None:
        """Seconds until a call may start (0: now), or None: when another call has ended."""
        delay = self.adaptive.wait(now)
        if delay != 0:
            return delay
        at = now
        if self.requests is not None:
            at = self.requests.earliest(at, 1)
        if self.tokens is not None:
            at = self.tokens.earliest(at, tokens)
        return at - now if at - now > INSTANT else 0.0

    def start(self, now: float, tokens: float) -> None:
        """A call is sent."""
        self.adaptive.start(now)
        if self.requests is not None:
            self.requests.take(now, 1)
        if self.tokens is not None:
            self.tokens.take(now, tokens)

    def succeeded(self, now: float, tokens: float, used: float) -> None:
        """A call was answered. `used`: the tokens that it took."""
        self.adaptive.succeeded(now)
        if self.tokens is not None:
            self.tokens.charge(now, used - tokens)

    def failed(self, now: float) -> None:
        """A call ended without telling anything about the limit; what it used is not known."""
        self.adaptive.failed(now)

    def refused(self, now: float, started: float, fault: Fault, tokens: float) -> None:
        """The provider refused a call (429, 503, 529) that was sent at `started`."""
        if self.tokens is not None:
            self.tokens.give_back(tokens)
        if fault.kind == "overloaded":
            self.adaptive.overloaded(now, started, fault.retry_after)
        else:
            self.adaptive.turned_away(now, started, fault.retry_after, fault.rate)

    def learn(self, now: float, started: float, fault: Fault) -> None:
        """Learn from a refusal of a call that has ended before, as `refused` does."""
        if fault.kind == "overloaded":
            self.adaptive.narrow(now, started, fault.retry_after, in_use=self.adaptive.running + 1)
        else:
            self.adaptive.slow_down(now, started, fault.retry_after, fault.rate)

    def take_part(self, now: float, part: float, rate: float | None, concurrency: float | None) -> None:
        """Go on with a part of the provider's limits, from 0 to 1, and with empty buckets.

        `rate` and `concurrency` are what was learned of the whole."""
        adaptive = self.adaptive
        adaptive.rate = rate * part if rate is not None else None
        if concurrency is not None:
            adaptive.concurrency = max(1.0, concurrency * part)
            adaptive.slow_start = False
        if self.limits.concurrency is not None:
            adaptive.ceiling = max(1.0, self.limits.concurrency * part)
        self.requests = _part_of(self.limits.requests(), now, part)
        self.tokens = _part_of(self.limits.tokens(), now, part)

    def take_all(self) -> None:
        """The end of `take_part`: the limits are kept by somebody else again."""
        self.adaptive.rate = None
        self.adaptive.slow_start = True
        if self.limits.concurrency is not None:
            self.adaptive.ceiling = float(self.limits.concurrency)


def _part_of(bucket: TokenBucket | None, now: float, part: float) -> TokenBucket | None:
    if bucket is None:
        return None
    rate, capacity = bucket.rate * part, max(1.0, bucket.capacity * part)
    return TokenBucket(rate, capacity, full_at=now + capacity / rate)
