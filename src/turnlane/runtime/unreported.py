"""What a worker did with a provider and has not told the others yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.runtime.learned_rate import WINDOW
from turnlane.runtime.provider_share import Refused, Report
from turnlane.runtime.retry import Fault

GRAIN: Final = 0.02
"""Seconds within which starts are told as one entry."""

MOST_REFUSALS: Final = 100
"""Refusals that are told; those of one burst all say the same."""


@dataclass(slots=True)
class Unreported:
    """Gathered between two reports. Times are seconds of this process's clock."""

    answered: int = 0
    called: int = 0
    retried: int = 0
    refusals: deque[tuple[float, float, int, Fault]] = field(default_factory=lambda: deque(maxlen=MOST_REFUSALS))
    """When it was heard, when the call was sent, what was known then, and the refusal."""
    _starts: deque[list[float]] = field(default_factory=deque)
    _requests: float = 0.0
    _tokens: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.answered or self.refusals or self._starts or self._requests or self._tokens)

    def started(self, now: float) -> None:
        """A call was sent."""
        if self._starts and now < self._starts[-1][0] + GRAIN:
            self._starts[-1][1] += 1
        else:
            self._starts.append([now, 1])

    def refused(self, now: float, started: float, epoch: int, fault: Fault) -> None:
        self.refusals.append((now, started, epoch, fault))

    def give_back(self, requests: float = 0.0, tokens: float = 0.0) -> None:
        """Something that was taken and not used; negative: more was used."""
        self._requests += requests
        self._tokens += tokens

    def add(self, later: Unreported) -> None:
        """Put what was gathered later to it; a report could not be sent."""
        self.answered += later.answered
        self.called += later.called
        self.retried += later.retried
        self.refusals.extend(later.refusals)
        self._starts.extend(later._starts)
        self._requests += later._requests
        self._tokens += later._tokens

    def report(self, now: float, **current: Any) -> Report:
        """All of it as a report, with what is the case now."""
        while self._starts and now - self._starts[0][0] > 2 * WINDOW:
            self._starts.popleft()
        return Report(
            starts=tuple((now - at, int(calls)) for at, calls in self._starts),
            answered=self.answered,
            called=self.called,
            retried=self.retried,
            refusals=tuple(_told(now, *refusal) for refusal in self.refusals),
            returned=(self._requests, self._tokens),
            **current,
        )


def _told(now: float, heard: float, started: float, epoch: int, fault: Fault) -> Refused:
    retry_after = None if fault.retry_after is None else max(0.0, fault.retry_after - (now - heard))
    return Refused(
        epoch=epoch,
        ago=now - started,
        overloaded=fault.kind == "overloaded",
        retry_after=retry_after,
        granted=fault.rate,
    )
