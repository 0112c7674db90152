"""A bucket that refills steadily: what may be sent of something, requests or tokens, per second and at once.

Pure: time comes in as an argument, in seconds of any one clock.
"""

from __future__ import annotations

from dataclasses import dataclass

LONG_AGO = float("-inf")


@dataclass(slots=True)
class TokenBucket:
    """At most `capacity` at once and `rate` per second: in any `t` seconds at most `capacity + rate * t`.

    What it holds follows from one number, when it is full again. A cost above `capacity` needs a full bucket and
    leaves a debt that refills first, so that no request is too big to be sent at all.
    """

    rate: float
    capacity: float
    full_at: float = LONG_AGO

    def earliest(self, now: float, cost: float) -> float:
        """When `cost` can be taken, if nobody takes anything before: `now`, or later."""
        needed_at = self.full_at - (self.capacity - min(cost, self.capacity)) / self.rate
        return max(now, needed_at)

    def take(self, at: float, cost: float) -> None:
        """Take `cost` at the time `at`; allowed or not is for the caller to know."""
        self.full_at = max(self.full_at, at) + cost / self.rate

    def give_back(self, cost: float) -> None:
        """Undo a `take` of something that was not used; a negative cost is taken, as a debt if need be."""
        self.full_at -= cost / self.rate

    def charge(self, now: float, cost: float) -> None:
        """Settle what turned out to be used beside what was taken; negative: it was less."""
        if cost > 0:
            self.take(now, cost)
        else:
            self.give_back(-cost)

    def level(self, now: float) -> float:
        """What can be taken now; negative: a debt."""
        return self.capacity - max(0.0, self.full_at - now) * self.rate
