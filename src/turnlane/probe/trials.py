"""Trials: a request or two under one fault, after the ramp, to see what the program does with it.

A trial's outcome is judged against the ramp's first level, one user alone with nothing in the way, so that what a
program always does is not taken for what the fault made it do. See `trial_signs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.practice import Budget, Fault, Script
from turnlane.probe.answers import probing_script
from turnlane.probe.conditions import Conditions
from turnlane.probe.fault_scripts import cut_short, failing_after_tools, refusing_call
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import most_at_once, tool_results
from turnlane.probe.subject import Subject

QUICK: Final = 0.02
"""Seconds of latency where nothing depends on overlap."""
SLOW: Final = 0.4
"""Seconds of latency where runs must overlap, or a user must be able to leave before the answer."""
RETRY_SOON: Final = 0.05
"""Seconds that a failing provider asks to wait: SDKs follow it, so that their retries cost no time."""
PATIENCE: Final = 15.0
"""Seconds for a trial's request: stacked retries take their time."""
HANG_BOUND: Final = 8.0
"""Seconds to wait for an answer while the provider hangs, if nobody asked for that fault."""
HANG_BOUND_ASKED: Final = 65.0
"""The same if the program needs a deadline, as far as there is time: longer than a minute."""
WATCHED_AFTER: Final = 1.0
"""Seconds to see whether a program goes on that has given up."""
AT_ONCE: Final = 10
"""More calls than that at one moment, for one request of one user, are a burst."""
BURST_LIMIT: Final = 10.0
"""Calls per second, and at once, that the provider lets through while a burst is tried."""


Trials = Mapping[str, LevelOutcome]
"""The outcomes of the trials that were run, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial.

    Attributes:
        name: for the report: "the provider answers 500".
        conditions: how it is run.
        wanted: whether it makes sense for this program, by one user alone and the trials so far.
        seconds: what it may take; it is left out when less time is left.
    """

    name: str
    conditions: Callable[[Subject], Conditions]
    wanted: Callable[[Subject, LevelOutcome, Trials], bool] = lambda subject, alone, found: True
    seconds: float = 4.0


def _base(subject: Subject) -> Script:
    return subject.script or probing_script(latency=QUICK)


def _failing(subject: Subject) -> Conditions:
    fault = Fault("server_error", retry_after=RETRY_SOON)
    return Conditions(turns=1, faults=(fault,), latency=QUICK, timeout=PATIENCE)


def _refusing(subject: Subject) -> Conditions:
    return Conditions(turns=1, faults=(Fault("unauthorized"),), latency=QUICK, timeout=PATIENCE)


def _failing_after_tools(subject: Subject) -> Conditions:
    # Three: what an SDK tries before it gives up.
    fault = Fault("server_error", first=3, retry_after=RETRY_SOON)
    script = failing_after_tools(_base(subject), fault)
    return Conditions(turns=1, script=script, latency=QUICK, timeout=PATIENCE)


def _failing_once(subject: Subject) -> Conditions:
    # Nobody retries a refused key: exactly the first message fails, whatever retries there are.
    return Conditions(turns=3, faults=(Fault("unauthorized", first=1),), latency=QUICK, timeout=PATIENCE)


def _failing_midway(subject: Subject) -> Conditions:
    return Conditions(turns=3, script=refusing_call(_base(subject), 2), latency=QUICK, timeout=PATIENCE)


def _cut_short(subject: Subject) -> Conditions:
    return Conditions(turns=1, script=cut_short(_base(subject)), latency=QUICK, timeout=PATIENCE)


def _cut_stream(subject: Subject) -> Conditions:
    return Conditions(turns=1, faults=(Fault("cut_stream"),), latency=QUICK, timeout=PATIENCE)


def _two_at_once(subject: Subject) -> Conditions:
    # One message alone, two at once, and one more, whose prompt shows what became of the two.
    return Conditions(turns=4, overlap=2, rounds=2, latency=SLOW, timeout=PATIENCE)


def _one_by_one(subject: Subject) -> Conditions:
    return Conditions(turns=4, rounds=1, latency=QUICK, timeout=PATIENCE)


def _burst(subject: Subject) -> Conditions:
    return Conditions(turns=1, budget=Budget(BURST_LIMIT), latency=QUICK, timeout=PATIENCE)


def _leaving(subject: Subject) -> Conditions:
    return Conditions(turns=2, disconnect_after=SLOW / 2, latency=SLOW, settle=3 * SLOW, timeout=PATIENCE)


def _hanging(subject: Subject) -> Conditions:
    bound = HANG_BOUND_ASKED if subject.needs_deadline else HANG_BOUND
    return Conditions(turns=1, faults=(Fault("hang"),), timeout=bound, settle=WATCHED_AFTER)


def _afterwards(subject: Subject) -> Conditions:
    return Conditions(turns=2, latency=QUICK, timeout=PATIENCE)


def _uses_tools(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    return any(tool_results(record.body) for record in alone.recorded.values())


def _calls_twice(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    return len(alone.calls) > len(alone.requests)


def _streams(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    return any(call.stream for call in alone.calls)


def _bursts(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    return burst_of(alone) > AT_ONCE


def burst_of(alone: LevelOutcome) -> int:
    """The most calls at one moment for one request, with one user alone."""
    each = ([alone.recorded[c.number] for c in r.calls if c.number in alone.recorded] for r in alone.requests)
    return max(map(most_at_once, each), default=0)


def _keeps_conversations(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    return subject.keeps_history and not subject.carries_history


def _two_at_once_broke(subject: Subject, alone: LevelOutcome, found: Trials) -> bool:
    outcome = found.get(TWO_AT_ONCE)
    return outcome is not None and any(not request.succeeded or request.lost for request in outcome.requests)


FAILING: Final = "the provider answers 500"
REFUSING: Final = "the provider refuses the key"
AFTER_TOOLS: Final = "the provider fails after a tool has run"
FAILING_ONCE: Final = "one refused call, then none"
FAILING_MIDWAY: Final = "one refused call in the middle of a turn"
CUT_SHORT: Final = "answers end at the token limit"
CUT_STREAM: Final = "streams break off"
TWO_AT_ONCE: Final = "two messages of one conversation at once"
ONE_BY_ONE: Final = "the same messages one by one"
BURST: Final = f"{BURST_LIMIT:g} calls a second are let through"
LEAVING: Final = "the user leaves before the answer"
HANGING: Final = "the provider never answers"
AFTERWARDS: Final = "nothing in the way, after the faults"

TRIALS: Final[Sequence[Trial]] = (
    Trial(name=FAILING, conditions=_failing),
    Trial(name=REFUSING, conditions=_refusing),
    Trial(name=AFTER_TOOLS, conditions=_failing_after_tools, wanted=_uses_tools),
    Trial(name=FAILING_ONCE, conditions=_failing_once),
    Trial(name=FAILING_MIDWAY, conditions=_failing_midway, wanted=_calls_twice),
    Trial(name=TWO_AT_ONCE, conditions=_two_at_once, wanted=_keeps_conversations, seconds=8.0),
    Trial(name=ONE_BY_ONE, conditions=_one_by_one, wanted=_two_at_once_broke),
    Trial(name=BURST, conditions=_burst, wanted=_bursts),
    Trial(name=CUT_SHORT, conditions=_cut_short),
    Trial(name=CUT_STREAM, conditions=_cut_stream, wanted=_streams),
    Trial(name=LEAVING, conditions=_leaving),
    Trial(name=AFTERWARDS, conditions=_afterwards),
    Trial(name=HANGING, conditions=_hanging, seconds=HANG_BOUND + 4),
)
"""In the order in which they are run: what may leave the program in a bad state comes late, and it is last seen
whether it still works. The one that takes longest is the last."""
