"""What went wrong at a level, counted: the thing that an experiment must make vanish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.report import RequestRecord

Kind = Literal["leak", "error", "refusal", "lost"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure: requests that showed another user's words, failed, or lost a message.

    `refusal` is a failed request whose model calls met the provider's rate limit; `error` is any other that no
    injected fault explains.
    """

    kind: Kind

    def of(self, outcome: LevelOutcome) -> list[RequestRecord]:
        """The requests of a level that failed in this way."""
        return [request for request in outcome.requests if self.kind in kinds_of(request)]

    def told(self, outcome: LevelOutcome) -> str:
        """For people: `12 of 20 leaked`."""
        word = {"leak": "leaked", "error": "failed", "refusal": "were refused", "lost": "lost a message"}[
            self.kind
        ]
        return f"{len(self.of(outcome))} of {len(outcome.requests)} {word}"


def kinds_of(request: RequestRecord) -> set[Kind]:
    """How a request failed; empty for one that went well."""
    kinds: set[Kind] = set()
    if request.leaked:
        kinds.add("leak")
    if request.lost:
        kinds.add("lost")
    if not request.succeeded:
        if any(call.status == 429 and call.fault is None for call in request.calls):
            kinds.add("refusal")
        elif not any(call.fault for call in request.calls):
            kinds.add("error")
    return kinds


def failures_in(levels: Sequence[LevelOutcome]) -> list[Failure]:
    """What went wrong in the ramp, the gravest first."""
    order: tuple[Kind, ...] = ("leak", "refusal", "error", "lost")
    return [failure for failure in map(Failure, order) if any(failure.of(outcome) for outcome in levels)]


def minimal_level(failure: Failure, levels: Sequence[LevelOutcome]) -> int | None:
    """The fewest users at once with which it shows."""
    shown = [outcome.level.concurrency for outcome in levels if failure.of(outcome)]
    return min(shown, default=None)


def sent_before(failure: Failure, levels: Sequence[LevelOutcome]) -> int:
    """How many requests the program had been sent when the first one had failed so."""
    first = min((request.finished for outcome in levels for request in failure.of(outcome)), default=math.inf)
    return sum(request.started < first for outcome in levels for request in outcome.requests)


def plainest(failure: Failure, levels: Sequence[LevelOutcome]) -> LevelOutcome:
    """The level that shows it best: where it is surest to come again, and of such the smallest."""
    shown = [outcome for outcome in levels if failure.of(outcome)]
    enough = [outcome for outcome in shown if len(failure.of(outcome)) >= ENOUGH]
    if enough:
        return min(enough, key=lambda outcome: outcome.level.concurrency)
    return max(shown, key=lambda outcome: len(failure.of(outcome)))


ENOUGH = 3
"""So many failures must be expected before their absence says anything: where three are expected, none comes by
chance in 5 of 100 cases."""


def says_something(failure: Failure, before: LevelOutcome, after: LevelOutcome) -> bool:
    """Whether so many requests were sent that the failure would have shown, had nothing changed."""
    share = len(failure.of(before)) / max(1, len(before.requests))
    return share * len(after.requests) >= ENOUGH or (share == 1 and bool(after.requests))
