"""The configured buckets of a provider, as all workers share them, with a part set aside for hands. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.token_bucket import TokenBucket

HANDS: Final = 0.2
"""Part of a bucket that all hands together may hold; it comes out of the bucket, so the sum stays the same."""


class Hand(NamedTuple):
    """Permits that a worker has in hand."""

    until: float
    requests: int
    tokens: float


class SharedBuckets:
    """Buckets of requests and tokens; those that are not configured let everything through.

    `requests_full_at` and `tokens_full_at` are what is kept of them.
    """

    def __init__(self, limits: ProviderLimits, requests_full_at: float, tokens_full_at: float) -> None:
        self.requests, self.tokens = limits.requests(), limits.tokens()
        self._in_hands = (_set_aside(self.requests, requests_full_at), _set_aside(self.tokens, tokens_full_at))

    @property
    def any(self) -> bool:
        """Whether something is configured."""
        return self.requests is not None or self.tokens is not None

    def rate(self, typical: float) -> float:
        """Calls per second, if each needs `typical` tokens."""
        by_requests = self.requests.rate if self.requests is not None else math.inf
        by_tokens = self.tokens.rate / max(1.0, typical) if self.tokens is not None else math.inf
        return min(by_requests, by_tokens)

    def earliest(self, now: float, tokens: float) -> float:
        if self.requests is not None:
            now = self.requests.earliest(now, 1)
        if self.tokens is not None:
            now = self.tokens.earliest(now, tokens)
        return now

    def take(self, at: float, tokens: float, requests: int = 1) -> None:
        if self.requests is not None:
            self.requests.take(at, requests)
        if self.tokens is not None:
            self.tokens.take(at, tokens)

    def empty(self, now: float) -> None:
        """Begin with nothing."""
        for bucket in (self.requests, self.tokens):
            if bucket is not None:
                bucket.full_at = max(bucket.full_at, now + bucket.capacity / bucket.rate)

    def settle(self, now: float, requests: float, tokens: float) -> None:
        """Take back what was taken and not used; negative: more was used."""
        if self.requests is not None:
            self.requests.charge(now, -requests)
        if self.tokens is not None:
            self.tokens.charge(now, -tokens)

    def most_in_hand(self, now: float, typical: float, others: Sequence[Hand]) -> int:
        """How many permits one hand may hold: none where a bucket is less than half full, or is small."""
        parts = [math.inf]
        requests, tokens = self._in_hands
        if self.requests is not None:
            plenty = self.requests.level(now) >= self.requests.capacity / 2
            parts.append(requests - sum(hand.requests for hand in others) if plenty else 0)
        if self.tokens is not None:
            plenty = self.tokens.level(now) >= self.tokens.capacity / 2
            left = tokens - sum(hand.tokens for hand in others)
            parts.append(left / max(1.0, typical) if plenty else 0)
        most = min(parts)
        return 0 if most == math.inf else max(0, int(most))


def _set_aside(bucket: TokenBucket | None, full_at: float) -> float:
    """Make room for hands in a bucket that is big enough; returns what they may hold."""
    if bucket is None:
        return 0.0
    bucket.full_at = full_at
    aside = bucket.capacity * HANDS
    if aside < 1:
        return 0.0
    bucket.capacity -= aside
    return aside
