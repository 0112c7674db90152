"""Experiments: the failing level again with one thing changed; what makes the failure vanish is its cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from turnlane import hazards
from turnlane.probe.answers import altered
from turnlane.probe.conditions import Conditions
from turnlane.probe.failures import ENOUGH, Failure, Kind, says_something
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import messages_of, tool_results
from turnlane.probe.report import Evidence
from turnlane.probe.start_command import (
    preloads,
    reloads,
    with_one_worker,
    without_preload,
    without_reload,
    workers_of,
)
from turnlane.probe.subject import Subject
from turnlane.probe.verdict import Sign

FRESH_AGENTS: Final = "fresh-agents"
FRESH_CONTEXTS: Final = "fresh-contexts"
MOST_REQUESTS: Final = 60
"""Requests of one experiment: more would say no more, and cost the time of the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is looked into: one failure, at the level that shows it best."""

    subject: Subject
    failure: Failure
    before: LevelOutcome
    levels: Sequence[LevelOutcome]

    @property
    def conditions(self) -> Conditions:
        """Those of the level, with no more rounds than are needed to see the failure come or stay away."""
        made = self.before.conditions
        share = len(self.failure.of(self.before)) / max(1, len(self.before.requests))
        each = made.concurrency * made.turns
        wanted = max(1, -(-int(ENOUGH / share + 1) // each)) if share else made.rounds
        return replace(made, rounds=max(1, min(made.rounds, wanted, MOST_REQUESTS // each)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One change.

    Attributes:
        name: what is changed, for the report.
        change: makes the conditions of the experiment from the level's.
        wanted: whether it makes sense for what failed.
        codes: the hazard that it speaks for when the failure vanishes, several as in `Sign`; empty for a change
            that more than one cause would explain: it is told as a note.
        restarts: whether the program is started anew for it.
    """

    name: str
    change: Callable[[Case, Conditions], Conditions]
    wanted: Callable[[Case], bool]
    codes: tuple[str, ...] = ()
    restarts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experimented:
    """An experiment that was done: `vanished` is None where nobody can tell, since too few requests were sent or a
    fresh process alone may have helped."""

    experiment: Experiment
    failure: Failure
    before: LevelOutcome
    after: LevelOutcome
    vanished: bool | None

    @property
    def evidence(self) -> Evidence:
        """The row of the verdict's table."""
        return Evidence(
            experiment=self.experiment.name,
            before=self.failure.told(self.before),
            after=self.failure.told(self.after),
            vanished=self.vanished,
        )


def judged(experiment: Experiment, case: Case, after: LevelOutcome) -> Experimented:
    """What an experiment shows. It vanished only if nothing else went wrong in its place."""
    gone = not case.failure.of(after)
    # A program that no longer answers shows no leak either.
    answered = any(request.succeeded for request in after.requests)
    telling = says_something(case.failure, case.before, after)
    vanished = None if gone and not (telling and answered) else gone
    return Experimented(
        experiment=experiment, failure=case.failure, before=case.before, after=after, vanished=vanished
    )


def experiment_signs(done: Sequence[Experimented]) -> list[Sign]:
    """What vanished failures speak for; the experiments that changed nothing are evidence beside them."""
    signs = []
    for one in done:
        if one.vanished and one.experiment.codes:
            others = tuple(other.evidence for other in done if other is not one and other.failure == one.failure)
            code = one.experiment.codes[0]
            signs.append(
                Sign(
                    codes=one.experiment.codes,
                    source="experiment",
                    summary=f"{hazards.get(code).summary} With {one.experiment.name} it is gone: "
                    f"{one.evidence.before} before, {one.evidence.after} then.",
                    minimal_level=one.before.level.concurrency,
                    evidence=(one.evidence, *others),
                )
            )
    return signs


def note_of(one: Experimented) -> str | None:
    """A vanished failure that no hazard follows from, as a sentence."""
    if not one.vanished or one.experiment.codes:
        return None
    return f"With {one.experiment.name} the failure is gone: {one.evidence.before}, then {one.evidence.after}."


def _alone(case: Case, conditions: Conditions) -> Conditions:
    users = min(conditions.requests // conditions.turns, 8)
    return replace(conditions, concurrency=1, rounds=max(1, users))


def _several_at_once(case: Case) -> bool:
    return case.before.level.concurrency > 1 and not any(o.level.concurrency == 1 for o in case.levels)


def _of_kind(*kinds: Kind) -> Callable[[Case], bool]:
    return lambda case: case.failure.kind in kinds


def _watched(*kinds: Kind) -> Callable[[Case], bool]:
    return lambda case: case.failure.kind in kinds and case.subject.watched and case.subject.starts


def _uses_tools(case: Case) -> bool:
    return case.subject.practice and bool(_tools(case))


def _tools(case: Case) -> list[str]:
    """The tools that ran at the level."""
    ran = (name for record in case.before.recorded.values() for name, _ in tool_results(record.body))
    offered = (
        call
        for r in case.before.recorded.values()
        for m in messages_of(r.body)
        for call in m.get("tool_calls") or ()
    )
    called = (str((call.get("function") or {}).get("name")) for call in offered)
    return [name for name in dict.fromkeys((*ran, *called)) if name]


def _without_limit(case: Case, conditions: Conditions) -> Conditions:
    script = conditions.script or case.subject.script
    return replace(conditions, budget=None, script=altered(script, budget=None) if script is not None else None)


def _has_workers(case: Case) -> bool:
    subject = case.subject
    return subject.starts and workers_of(subject.command, subject.environment) > 1


def _preloads(case: Case) -> bool:
    return case.subject.starts and preloads(case.subject.command, case.subject.environment)


EXPERIMENTS: Final[Sequence[Experiment]] = (
    Experiment(
        name="the rate limit lifted",
        change=_without_limit,
        wanted=lambda case: case.failure.kind == "refusal" and case.subject.practice,
        codes=("TL303",),
    ),
    Experiment(name="one user at a time", change=_alone, wanted=_several_at_once),
    Experiment(
        name="fresh contexts and termination conditions for each request",
        change=lambda case, conditions: replace(conditions, experiment=FRESH_CONTEXTS),
        wanted=_watched("leak", "error", "lost"),
        codes=("TL203", "TL201", "TL204"),
        restarts=True,
    ),
    Experiment(
        name="fresh agents for each request",
        change=lambda case, conditions: replace(conditions, experiment=FRESH_AGENTS),
        wanted=_watched("leak", "error", "lost"),
        codes=("TL201", "TL204", "TL205", "TL207", "TL402"),
        restarts=True,
    ),
    Experiment(
        name="no tool called",
        change=lambda case, conditions: replace(conditions, without_tools=None),
        wanted=lambda case: _uses_tools(case) and case.subject.script is None and case.failure.kind != "refusal",
    ),
    Experiment(
        name="no preloading before the fork",
        change=lambda case, conditions: replace(conditions, command=without_preload(case.subject.command)),
        wanted=_preloads,
        codes=("TL605", "TL301"),
        restarts=True,
    ),
    Experiment(
        name="one worker process",
        change=lambda case, conditions: replace(
            conditions,
            command=with_one_worker(case.subject.command),
            environment={**conditions.environment, "WEB_CONCURRENCY": "1"},
        ),
        wanted=_has_workers,
        restarts=True,
    ),
    Experiment(
        name="no reloader",
        change=lambda case, conditions: replace(conditions, command=without_reload(case.subject.command)),
        wanted=lambda case: case.subject.starts and case.failure.kind == "error" and reloads(case.subject.command),
        restarts=True,
    ),
    Experiment(
        name="one message in each conversation",
        change=lambda case, conditions: replace(conditions, turns=1, rounds=conditions.rounds * conditions.turns),
        wanted=lambda case: case.failure.kind == "error" and case.before.conditions.turns > 1,
    ),
    Experiment(
        name="no streaming",
        change=lambda case, conditions: replace(conditions, fields={**conditions.fields, "stream": False}),
        wanted=lambda case: case.failure.kind == "error" and "stream" in case.subject.json_fields,
    ),
    Experiment(
        name="a provider that answers at once",
        change=lambda case, conditions: replace(conditions, latency=0.0),
        wanted=lambda case: case.failure.kind == "error" and case.subject.practice,
    ),
)
"""The cheapest first; those that start the program anew cost seconds."""


def without_each_tool(case: Case) -> list[Experiment]:
    """After "no tool called" made it vanish: which tool it is."""
    tools = _tools(case)
    if len(tools) < 2:
        return []

    def without(tool: str) -> Experiment:
        return Experiment(
            name=f"the tool {tool!r} not called",
            change=lambda case, conditions: replace(conditions, without_tools=frozenset({tool})),
            wanted=_of_kind("leak", "error", "lost"),
        )

    return [without(tool) for tool in tools]


def wanted_for(case: Case) -> list[Experiment]:
    """The experiments that make sense for a case, in their order."""
    return [experiment for experiment in EXPERIMENTS if experiment.wanted(case)]
