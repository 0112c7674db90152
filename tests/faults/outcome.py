"""What came of a schedule: the verdict and the figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnlane.testing.history import Accepted, Answered, Died, History, Ran, Report, Sent, Stalled


@dataclass
class Outcome:
    """The end of a schedule. Times are seconds."""

    command: str
    """What repeats it."""
    seconds: float
    report: Report
    problems: Sequence[str]
    """What was wrong beside the history: a bad exit status, a broken store."""
    struck: Mapping[str, int]
    """Faults of each kind."""
    missing: Mapping[str, str]
    """Kinds that this machine can't have, each with what it needs."""
    broken: int
    """Requests that broke, were refused or answered 503."""
    elsewhere: int
    """How often a stream was resumed at another front end."""
    recovered: Mapping[str, Sequence[float]]
    """From the moment at which the system was whole again (a kill: from the kill) to a new user's answer."""
    cut_off: Mapping[str, Sequence[float]]
    """From the death or stall of an owner to the answer of each turn that it was at."""

    @property
    def ok(self) -> bool:
        return self.report.ok and not self.problems

    def figures(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "command": self.command,
            "seconds": round(self.seconds, 1),
            **self.report.figures,
            **self.report.counts,
            "problems": list(self.problems),
            "broken requests": self.broken,
            "streams resumed elsewhere": self.elsewhere,
            "faults": sum(self.struck.values()),
            "missing": dict(self.missing),
            "kinds": {
                kind: {"faults": faults, **percentiles(self.recovered[kind])}
                for kind, faults in sorted(self.struck.items())
            },
            "cut off": {what: {"turns": len(times), **percentiles(times)} for what, times in self.cut_off.items()},
        }

    def as_json(self) -> dict[str, Any]:
        """The figures, and every time that was measured, so that several schedules can be added up."""
        return {**self.figures(), "recovered": dict(self.recovered), "waits": dict(self.cut_off)}

    def __str__(self) -> str:
        figures = self.figures()
        lines = [f"{name:<28}{value}" for name, value in figures.items() if not isinstance(value, dict)]
        for table in ("kinds", "cut off", "missing"):
            lines += [f"{table}: {name:<28}{value}" for name, value in figures[table].items()]
        broken = [str(violation) for violation in self.report.violations[:20]]
        return "\n".join([*lines, *broken, f"to repeat: {self.command}"])


def waits_of_cut_off_turns(history: History) -> dict[str, list[float]]:
    """From the moment at which an owner died or froze to the answers of the turns that it was at."""
    keys = {event.text: event.key for event in history.events if isinstance(event, Sent)}
    turns = {event.key: event.turn for event in history.events if isinstance(event, Accepted)}
    answers: dict[str, float] = {}
    by_owner: dict[str, list[Ran]] = defaultdict(list)
    for event in history.events:
        if isinstance(event, Answered):
            answers[event.turn] = min(event.at, answers.get(event.turn, event.at))
        elif isinstance(event, Ran) and event.owner and event.said:
            by_owner[event.owner].append(event)
    waits: dict[str, dict[tuple[str, float], float]] = {"died": {}, "froze": {}}
    for event in history.events:
        if not isinstance(event, Died | Stalled) or event.owner is None:
            continue
        what, at = ("died", event.at) if isinstance(event, Died) else ("froze", event.started)
        for run in by_owner[event.owner]:
            turn = turns.get(keys.get(run.said[-1], ""), "")
            if run.started <= at and (run.ended is None or run.ended >= at) and answers.get(turn, 0.0) > at:
                waits[what][turn, at] = answers[turn] - at
    return {what: list(found.values()) for what, found in waits.items()}


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Two of them, rounded; None without a measurement."""
    ordered = sorted(seconds)
    return {
        "p50": round(ordered[len(ordered) // 2], 2) if ordered else None,
        "p99": round(ordered[int(len(ordered) * 0.99)], 2) if ordered else None,
    }
