"""The configured buckets of a provider, as all workers share them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.token_bucket import TokenBucket

HANDS: Final = 0.2
"""Part of a bucket that all hands together may hold."""


class Hand(NamedTuple):
    """Permits that a worker has in hand."""

    until: float
    requests: int
    tokens: float


class SharedBuckets:
    """Buckets of requests and tokens; those that are not configured let everything through.

    What is in hands may be sent at any time, so a bucket holds that much less. It is taken out of the bucket when
    it was used; until then the bucket does not refill it.

    `requests_full_at` and `tokens_full_at` are what is kept of them.
    """

    def __init__(
        self, limits: ProviderLimits, requests_full_at: float, tokens_full_at: float, hands: Iterable[Hand]
    ) -> None:
        self.requests, self.tokens = limits.requests(), limits.tokens()
        self._hand_requests = self._hand_tokens = 0.0
        if self.requests is not None:
            self.requests.full_at = requests_full_at
            self._hand_requests = self.requests.capacity * HANDS
        if self.tokens is not None:
            self.tokens.full_at = tokens_full_at
            self._hand_tokens = self.tokens.capacity * HANDS
        for hand in hands:
            self.put_in_hand(hand.requests, hand.tokens)

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

    def put_in_hand(self, requests: int, tokens: float) -> None:
        """Set aside what a worker may use at any time from now on."""
        self._hand_requests -= requests
        self._hand_tokens -= tokens
        if self.requests is not None:
            self.requests.capacity = max(1.0, self.requests.capacity - requests)
        if self.tokens is not None:
            self.tokens.capacity = max(1.0, self.tokens.capacity - tokens)

    def room_in_hands(self, now: float, typical: float) -> int:
        """How many more permits may be put in hands: none where a bucket is less than half full, or is small."""
        room = [math.inf]
        if self.requests is not None:
            room.append(self._hand_requests if _is_plenty(self.requests, now) else 0)
        if self.tokens is not None:
            room.append(self._hand_tokens / max(1.0, typical) if _is_plenty(self.tokens, now) else 0)
        most = min(room)
        return 0 if most == math.inf else max(0, int(most))


def _is_plenty(bucket: TokenBucket, now: float) -> bool:
    return bucket.level(now) >= bucket.capacity / 2
