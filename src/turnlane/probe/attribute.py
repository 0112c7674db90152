"""After the ramp: trials, experiments, and the verdicts that follow from all that was seen."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final

from turnlane.practice import Script
from turnlane.probe.conditions import Conditions
from turnlane.probe.drive import Session
from turnlane.probe.experiments import (
    Case,
    Experimented,
    experiment_signs,
    judged,
    note_of,
    wanted_for,
    without_each_tool,
)
from turnlane.probe.failures import Failure, failures_in, plainest, sent_before
from turnlane.probe.guard_records import merged
from turnlane.probe.inject import Injection, fault_reports
from turnlane.probe.model_side import idle
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.ramp_signs import guard_signs, ramp_signs, works_on
from turnlane.probe.report import Hazard
from turnlane.probe.restarts import dies_with_process, outlives_restart
from turnlane.probe.run import Attribution, Attributor, Watcher
from turnlane.probe.standstill import standstill_seconds, standstill_signs
from turnlane.probe.subject import Subject
from turnlane.probe.symptoms import signs_of_messages, tells_itself
from turnlane.probe.trial_signs import (
    ADVICE,
    SURE_TO_HANG,
    as_note,
    is_whole_after_failure,
    repeats,
    trial_signs,
    waited_in_vain,
    waits_for_ever,
)
from turnlane.probe.trials import HANGING, QUICK, TRIALS, Trial
from turnlane.probe.trouble import ProbeError
from turnlane.probe.verdict import Sign, StaticFinding, static_evidence, verdicts_of

RESERVE: Final = 3.0
"""Seconds kept for stopping the program and writing the report."""
TRIAL_TIME: Final = 8.0
"""Seconds that the trials need at least, all together."""
IN_MEMORY: Final = frozenset({"TL201", "TL203", "TL205"})
ERRORS_OF_LOOPS: Final = frozenset({"TL101", "TL103", "TL112"})
"""Where the guard has seen one of these, it is what requests fail with."""
CAUGHT_UP: Final = 0.5
"""Seconds without a model call after which a program has nothing left to do."""
STANDSTILL: Final = "do others stand still?"
START: Final = 5.0
"""Seconds that a fresh start of the program takes at least."""


def attributor(
    *,
    static: Iterable[tuple[str, str, int, str]] = (),
    injection: Injection | None = None,
    script: Script | None = None,
    practice: bool = True,
) -> Attributor:
    """What finds the causes of what a ramp showed.

    Args:
        static: what `check` finds in the target's sources: code, file, line and message.
        injection: what `--inject` asked for; its faults stand during the ramp.
        script: the script of `--script`.
        practice: whether the practice provider answers, not a real one.
    """
    findings = static_evidence(StaticFinding(code=c, file=f, line=n, message=m) for c, f, n, m in static)

    async def attribute(
        session: Session, levels: Sequence[LevelOutcome], watcher: Watcher
    ) -> AsyncIterator[Attribution]:
        target = session.target
        subject = Subject(
            starts=target.starts,
            command=tuple(target.command),
            environment=target.environment,
            watched=session.guarded,
            keeps_history=session.habits is not None and session.habits.keeps_history,
            carries_history=target.carries_history,
            json_fields=frozenset(target.json) if isinstance(target.json, dict) else frozenset(),
            static=findings,
            injection=injection,
            script=script,
            practice=practice,
        )
        async for found in _Investigation(session, subject, tuple(levels), watcher).attributions():
            yield found

    return attribute


@dataclass(slots=True)
class _Investigation:
    """One probe's way from the ramp to the verdicts."""

    session: Session
    subject: Subject
    levels: tuple[LevelOutcome, ...]
    watcher: Watcher
    signs: list[Sign] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trials: dict[str, LevelOutcome] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    async def attributions(self) -> AsyncIterator[Attribution]:
        """What is known after each part. Failures of the ramp are looked into first; what else may be wrong, with
        the time that is left."""
        self.signs += ramp_signs(self.levels)
        self.signs += signs_of_messages(self.levels)
        for outcome in self.levels:
            self.signs += repeats(outcome, "the faults of --inject", outcome) if self.subject.injection else ()
        seen = self.session.hazards()
        by_guard = {hazard.code for hazard in seen}
        self.signs += guard_signs(seen, self.levels)
        yield self._so_far()
        try:
            await self._standstill()
            await self._experiments(by_guard)
            await self._restarts(by_guard)
            yield self._so_far()
            if self._affords_trials():
                alone = await self._alone()
                endless = any(map(waits_for_ever, alone.recorded.values()))
                self.subject = replace(self.subject, waits_for_ever=endless)
                await self._trials(alone)
                self.signs += trial_signs(self.trials, alone)
        except ProbeError as error:
            self.notes.append(f"The program could not be started again, and the rest was left out. {error}")
        self.signs += guard_signs(self._later(seen), self.levels)
        self._tell_skipped()
        yield self._so_far()

    def _so_far(self) -> Attribution:
        accusing, advice = self._accusing_or_advice()
        return Attribution(
            verdicts=verdicts_of(accusing, self.subject.static),
            faults=fault_reports(self.subject.injection, self.levels) if self.subject.injection else (),
            notes=tuple(dict.fromkeys((*self.notes, *advice))),
        )

    def _affords_trials(self) -> bool:
        """After an experiment the program may have to be started anew, as it was."""
        afforded = self._affords(self._start + TRIAL_TIME)
        if not afforded:
            self.skipped.append("trials of faults")
        return afforded

    def _later(self, seen: Sequence[Hazard]) -> list[Hazard]:
        """What the guard saw during trials, but for what follows from a hazard of the ramp: an object that users
        share shows much else when the provider fails."""
        accused = {hazard.object for hazard in seen if hazard.object}
        known = {(hazard.code, hazard.place) for hazard in seen}
        during = merged(hazard for outcome in self.trials.values() for hazard in outcome.hazards)
        new = [h for h in during if (h.code, h.place) not in known and h.object not in accused]
        return [hazard for hazard in new if not is_whole_after_failure(hazard)]

    async def _alone(self) -> LevelOutcome:
        """One user with nothing in the way: the first level of the ramp, if it was that."""
        first = self.levels[0]
        if first.conditions.concurrency == 1 and self.subject.injection is None:
            return first
        self.watcher.step("one user, nothing in the way")
        return await self.session.run_level(Conditions(turns=2, rounds=2))

    async def _trials(self, alone: LevelOutcome) -> None:
        """Trials need the practice provider, and a program that answers somebody."""
        if not self.subject.practice or not any(request.succeeded for request in alone.requests):
            return
        # What was asked for comes first, and takes what time it needs.
        asked = self.subject.asked_for("hang")
        for trial in sorted(TRIALS, key=lambda trial: not (asked and trial.name == HANGING)):
            if not trial.wanted(self.subject, alone, self.trials):
                continue
            if not self._affords(trial.seconds):
                self.skipped.append(trial.name)
                continue
            self.watcher.step(trial.name)
            self.trials[trial.name] = await self.session.run_level(self._conditions(trial))
            if self._died():
                self.notes.append(f"The program ended while this was tried: {trial.name}. It was started anew.")

    def _conditions(self, trial: Trial) -> Conditions:
        made = trial.conditions(self.subject)
        latest = next(reversed(self.trials.values()), self.levels[-1])
        return replace(
            made,
            fresh_process=self._died() or self._is_behind(latest),
            timeout=min(made.timeout or math.inf, self.session.seconds_left - RESERVE),
        )

    def _is_behind(self, latest: LevelOutcome) -> bool:
        """Whether the program may still work for users who have given up waiting."""
        given_up = any(request.status is None and request.cause is not None for request in latest.requests)
        return self.subject.starts and given_up

    def _died(self) -> bool:
        """Whether the program has ended by itself, as Node does after a rejection that nobody handled."""
        return self.session.program is not None and self.session.program.status is not None

    async def _standstill(self) -> None:
        """Quick, and what blocks a loop makes everything after it slow."""
        if not self.subject.one_loop:
            return
        first = self.levels[0]
        behind = self._is_behind(self.levels[-1])
        if not self._affords(standstill_seconds(first) + (self._start if behind else 0)):
            self.skipped.append(STANDSTILL)
            return
        self.watcher.step(STANDSTILL)
        if behind:
            await self.session.start_program(replace(_plain(first), fresh_process=True))
        self.signs += await standstill_signs(self.session, _plain(first))

    async def _restarts(self, by_guard: Set[str]) -> None:
        """Experiments with a reading of their own: a stop in the middle of work, a fresh process."""
        subject, first = self.subject, self.levels[0]
        if not subject.practice:
            return
        if subject.starts and works_on(self.levels) and self._affords(self._start + 8):
            self.watcher.step("stopped right after its answer")
            if await self._has_caught_up():
                self.signs += await dies_with_process(self.session, _plain(first))
            else:
                self.skipped.append("stopped right after its answer")
        # An object in memory that the guard has named explains the leak.
        leaked = any(outcome.leaks for outcome in self.levels) and not by_guard & IN_MEMORY
        if subject.starts and leaked and self._affords(self._start + 2 * _seconds(first)):
            self.watcher.step("a fresh process")
            self.signs += await outlives_restart(self.session, _plain(first))

    async def _has_caught_up(self) -> bool:
        """Whether the program has done, before there is no time left, what it has taken on in the ramp."""
        self.session.side.prepare(replace(_plain(self.levels[0]), latency=QUICK))
        bound = self.session.seconds_left - self._start - 8 - RESERVE
        return await idle(self.session.side, bound, quiet=CAUGHT_UP)

    async def _experiments(self, by_guard: Set[str]) -> None:
        for failure in failures_in(self.levels):
            if failure.kind == "error" and (by_guard & ERRORS_OF_LOOPS or self._tell_themselves(failure)):
                continue  # no change could say more
            case = Case(
                subject=self.subject, failure=failure, before=plainest(failure, self.levels), levels=self.levels
            )
            done = await self._case(case, by_guard)
            self.signs += experiment_signs(done)
            self.notes += filter(None, map(note_of, done))

    def _tell_themselves(self, failure: Failure) -> bool:
        return all(tells_itself(request) for outcome in self.levels for request in failure.of(outcome))

    async def _case(self, case: Case, by_guard: Set[str]) -> list[Experimented]:
        """All experiments of a case up to the first that names the cause; the guard's suspect comes first."""
        done: list[Experimented] = []
        waiting = sorted(wanted_for(case), key=lambda one: not (one.codes and one.codes[0] in by_guard))
        while waiting:
            experiment = waiting.pop(0)
            if not self._affords(_seconds(case.before) + (self._start if experiment.restarts else 0)):
                self.skipped.append(experiment.name)
                continue
            self.watcher.step(experiment.name)
            after = await self.session.run_level(experiment.change(case, case.conditions))
            done.append(judged(experiment, case, after))
            if done[-1].vanished and experiment.restarts and not await self._comes_back(case, after):
                done[-1] = replace(done[-1], vanished=None)
            if done[-1].vanished and experiment.codes:
                break
            if done[-1].vanished and experiment.name == "no tool called":
                waiting = without_each_tool(case) + waiting
        return done

    async def _comes_back(self, case: Case, after: LevelOutcome) -> bool:
        """Whether the failure is there again in a fresh process with nothing else changed. A fresh process is all
        that helps a program which has died, or has broken for good."""
        if sent_before(case.failure, self.levels) < len(after.requests):
            return True  # a process as fresh as the experiment's has shown it
        if not self._affords(_seconds(case.before) + self._start):
            return False
        self.watcher.step("a fresh process, and nothing else changed")
        again = await self.session.run_level(replace(case.conditions, fresh_process=True))
        return bool(case.failure.of(again))

    @property
    def _start(self) -> float:
        """What a fresh start of the program takes: the ramp began when the first one was done."""
        began = min((request.started for request in self.levels[0].requests), default=START)
        return max(START, began)

    def _affords(self, seconds: float) -> bool:
        return self.session.seconds_left > seconds + RESERVE and self.session.requests_left > 0

    def _accusing_or_advice(self) -> tuple[list[Sign], Iterable[str]]:
        """The signs that make verdicts; and advice that nobody asked for as notes, one for each hazard."""
        kept = []
        advice: dict[str, str] = {}
        for sign in self.signs:
            if sign.codes[0] == "TL306" and HANGING in self.trials and waited_in_vain(self.trials) is None:
                continue  # users of the ramp have not waited for the deadline that there is
            if sign.codes[0] in ADVICE and not self._asked(sign):
                advice.setdefault(sign.codes[0], as_note(sign))
            else:
                kept.append(sign)
        return kept, advice.values()

    def _asked(self, sign: Sign) -> bool:
        code = sign.codes[0]
        if code == "TL306":
            waited = waited_in_vain(self.trials) or 0.0
            return waited >= SURE_TO_HANG and (sign.minimal_level is not None or self.subject.needs_deadline)
        asked = self.subject.asked_for("cut_stream", "stall_stream")
        return sign.minimal_level is not None or asked or self.subject.found_by_check(code)

    def _tell_skipped(self) -> None:
        if self.skipped:
            names = ", ".join(dict.fromkeys(self.skipped))
            self.notes.append(f"There was no time left for: {names}. Give --max-seconds a higher value for them.")


def _plain(alone: LevelOutcome) -> Conditions:
    """The conditions of one user alone, without any fault."""
    return replace(alone.conditions, concurrency=1, rounds=1, turns=1, faults=(), budget=None)


def _seconds(outcome: LevelOutcome) -> float:
    """How long such a level takes."""
    if not outcome.requests:
        return 1.0
    return max(r.finished for r in outcome.requests) - min(r.started for r in outcome.requests) + 0.5
