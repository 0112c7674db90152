"""A whole probe: the ramp, the attribution of what went wrong, the report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from turnlane.probe.conditions import DEFAULT_TURNS, Conditions
from turnlane.probe.drive import Session, Talk
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.preflight import find_operation, preflight
from turnlane.probe.program import Program
from turnlane.probe.report import FaultReport, Report, Verdict
from turnlane.probe.trouble import ProbeError

DEFAULT_LEVELS: Final = (1, 5, 20)
DEFAULT_ROUNDS: Final = 3
_SHARE_OF_RAMP: Final = 0.4
"""Of the probe's time; the rest is for experiments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run.

    Attributes:
        levels: users at once, level by level.
        rounds: how often so many new users come at each level; fewer for a program that answers slowly.
        turns: messages of each user.
        base: the conditions of all levels but for these three.
    """

    levels: Sequence[int] = DEFAULT_LEVELS
    rounds: int = DEFAULT_ROUNDS
    turns: int = DEFAULT_TURNS
    base: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What the experiments after the ramp found.

    Attributes:
        verdicts: what is wrong, the surest first.
        faults: what became of injected faults.
        notes: what the reader should know, in sentences.
    """

    verdicts: tuple[Verdict, ...] = ()
    faults: tuple[FaultReport, ...] = ()
    notes: tuple[str, ...] = ()


class Watcher:
    """Hears of a probe's progress, and does nothing. To derive from."""

    def step(self, text: str) -> None:
        """Something begins: the start of the program, an experiment."""

    def talk(self, talk: Talk) -> None:
        """A message was answered, at a level or in an experiment."""

    def level(self, outcome: LevelOutcome) -> None:
        """A level of the ramp is done."""


Attributor = Callable[[Session, Sequence[LevelOutcome], Watcher], AsyncIterator[Attribution]]
"""Finds the causes of what the ramp showed, with as many levels more as the session's bounds allow. Each that it
gives is what is known by then; the last is the whole."""


@dataclass(slots=True)
class _Seen:
    """What a probe has seen so far."""

    session: Session
    outcomes: list[LevelOutcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: Attribution = field(default_factory=Attribution)

    def report(self) -> Report:
        session = self.session
        return Report(
            target=session.target.name,
            started=session.clock.started(),
            seconds=session.clock.now(),
            levels=tuple(outcome.level for outcome in self.outcomes),
            leaks=tuple(leak for outcome in self.outcomes for leak in outcome.leaks),
            verdicts=self.found.verdicts,
            requests=tuple(request for outcome in self.outcomes for request in outcome.requests),
            hazards=session.hazards(),
            faults=self.found.faults,
            where=session.where,
            notes=(*self.notes, *self.found.notes),
        )


async def probe(
    session: Session,
    plan: Plan,
    *,
    attribute: Attributor | None = None,
    watcher: Watcher | None = None,
    interrupted: Callable[[Report], None] | None = None,
) -> Report:
    """Probe the session's target.

    Args:
        session: entered.
        plan: what to run.
        attribute: finds the causes; None leaves the verdicts empty.
        watcher: hears of the progress.
        interrupted: is given the report of what was seen, if the probe is cancelled after its first level.

    Raises:
        ProbeError: the target cannot be probed; the text says why and what to do.
    """
    seen = _Seen(session)
    try:
        await _look(seen, plan, attribute, watcher or Watcher())
    except asyncio.CancelledError:
        if interrupted is not None and seen.outcomes:
            seen.notes.append("The probe was interrupted: this is what was seen until then.")
            interrupted(seen.report())
        raise
    return seen.report()


async def _look(seen: _Seen, plan: Plan, attribute: Attributor | None, watcher: Watcher) -> None:
    session = seen.session
    session.listeners.append(watcher.talk)
    watcher.step("starting the program" if session.target.starts else "asking the program")
    first, notes = await _first_message(session, plan.base)
    seen.notes += notes
    ramp_notes = await _ramp(seen, plan, first, watcher)
    _check_reached(session, [first, *seen.outcomes])
    seen.notes += (*_first_notes(first, seen.outcomes), *ramp_notes, *_habit_notes(session))
    if attribute is not None and seen.outcomes:
        async for found in attribute(session, seen.outcomes, watcher):
            seen.found = found
    watcher.step("stopping the program" if session.target.starts else "done")
    await session.stop_program()


async def _first_message(session: Session, base: Conditions) -> tuple[LevelOutcome, Sequence[str]]:
    """Start the program and see that it can be talked to, in the way that it describes itself if need be."""
    await session.start_program(base)
    noted = await find_operation(session)
    outcome, notes = await preflight(session, base)
    return outcome, (*noted, *notes)


async def _ramp(seen: _Seen, plan: Plan, first: LevelOutcome, watcher: Watcher) -> Sequence[str]:
    """Run the levels one after the other; says why, if it ends before the last."""
    session = seen.session
    rounds = _affordable_rounds(session, plan, first)
    for concurrency in plan.levels:
        watcher.step(f"{_users(concurrency)} at once")
        # A program that answers slower with every user more must leave time to find out why.
        seconds = _SHARE_OF_RAMP * session.bounds.seconds / len(plan.levels)
        conditions = replace(plan.base, concurrency=concurrency, rounds=rounds, turns=plan.turns, seconds=seconds)
        outcome = await session.run_level(conditions)
        if not outcome.requests:
            return [_ended_early(session, f"before {concurrency} users at once")]
        seen.outcomes.append(outcome)
        watcher.level(outcome)
        if session.program is not None and session.program.status is not None:
            return [_died(session.program, concurrency)]
        if outcome.cut:
            return [_ended_early(session, f"while {concurrency} users were talking")]
        if _nobody_answered(outcome):
            return [f"With {concurrency} at once nobody got an answer, so the ramp ended there."]
    return ()


def _affordable_rounds(session: Session, plan: Plan, first: LevelOutcome) -> int:
    """As many rounds as the time for the ramp allows, by what one answer took."""
    seconds = max(request.seconds for request in first.requests)
    one_round = max(seconds, 0.01) * plan.turns * len(plan.levels)
    return max(1, min(plan.rounds, int(_SHARE_OF_RAMP * session.bounds.seconds / one_round)))


def _died(program: Program, concurrency: int) -> str:
    return (
        f"The program ended with status {program.status} while {_users(concurrency)} talked to it, and so did the "
        f"ramp. The last it wrote:{program.last_lines()}"
    )


def _users(concurrency: int) -> str:
    return f"{concurrency} {'user' if concurrency == 1 else 'users'}"


def _nobody_answered(outcome: LevelOutcome) -> bool:
    return all(request.status is None for request in outcome.requests)


def _ended_early(session: Session, where: str) -> str:
    bounds = session.bounds
    why = "--max-requests" if session.requests_left <= 0 else "--max-seconds"
    value = bounds.requests if session.requests_left <= 0 else f"{bounds.seconds:g}"
    return f"The probe ended {where}: {why} is {value}."


def _first_notes(first: LevelOutcome, outcomes: Sequence[LevelOutcome]) -> Sequence[str]:
    """How the very first request failed, if no later one failed like it: what it left may hide it for good."""
    later = {cause for outcome in outcomes for cause in outcome.level.errors}
    return tuple(
        f"The very first request, before the ramp, failed otherwise than all later ones: {cause}."
        for cause in first.level.errors
        if cause not in later
    )


def _habit_notes(session: Session) -> Sequence[str]:
    if session.habits is None or session.habits.keeps_history:
        return ()
    return (
        "Lost messages were not looked for: with one user alone, earlier messages of a conversation are not in "
        "its later prompts either.",
    )


def _check_reached(session: Session, outcomes: Sequence[LevelOutcome]) -> None:
    """Raise ProbeError if the program mostly answers well, and its model calls go elsewhere."""
    if any(outcome.calls for outcome in outcomes) or session.hazards():
        return
    answered = [request.succeeded for outcome in outcomes for request in outcome.requests]
    if sum(answered) <= len(answered) / 2:
        return
    url = session.side.base_url
    how = "Start it with OPENAI_BASE_URL (or its own setting) set to"
    if session.target.starts:
        how = (
            "It was started with OPENAI_BASE_URL set to it, so its provider's address comes from somewhere else. "
            "Set that to"
        )
    raise ProbeError(
        f"The program answers, but no prompt reached the probe's provider. {how} {url}, or give --upstream URL to "
        "record the calls to the real provider. A program that calls no model cannot be probed."
    )
