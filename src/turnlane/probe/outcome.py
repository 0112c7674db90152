"""What happened at one level, with all that is needed to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnlane.practice import RecordedRequest
from turnlane.probe.answer_marks import Marks
from turnlane.probe.conditions import Conditions
from turnlane.probe.report import Hazard, Leak, Level, ProviderCall, RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelOutcome:
    """One level that was run.

    Attributes:
        conditions: how.
        level: the figures.
        requests: every request, in the order in which they were sent.
        leaks: every leak.
        hazards: what the guard saw meanwhile; each hazard is told once per process, so a later level may lack it.
        calls: every provider call, also those that belong to no request of this level.
        recorded: the same calls by number, as the provider recorded them, with headers and body.
        owners: id of the request that each provider call belongs to, by the call's number.
        marks: what each answer says of itself beside its text, by the request's id.
        output: what the program wrote to its output meanwhile, line by line.
        listened: whether its output was read at all: that of a program which somebody else started is not.
        cut: whether the level ended before all of its requests were sent: time or requests ran out.
    """

    conditions: Conditions
    level: Level
    requests: tuple[RequestRecord, ...]
    leaks: tuple[Leak, ...]
    hazards: tuple[Hazard, ...]
    calls: tuple[ProviderCall, ...]
    recorded: Mapping[int, RecordedRequest]
    owners: Mapping[int, str]
    marks: Mapping[str, Marks] = field(default_factory=dict)
    output: tuple[str, ...] = ()
    listened: bool = True
    cut: bool = False
