"""What the outcomes of trials speak for. Pure: outcomes in, signs out.

Every sign compares with one user alone and nothing in the way, and asks for more than a program could do by
chance; each function says which figure decides and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

from turnlane import hazards
from turnlane.practice import RecordedRequest
from turnlane.probe import trials
from turnlane.probe.answer_marks import Marks, differs, says_incomplete
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import Attempts, attempts_of, repeated_by_retries, usual_times_said
from turnlane.probe.report import Evidence, Hazard, RequestRecord
from turnlane.probe.trials import Trials
from turnlane.probe.verdict import Sign

STACKED: Final = 6
"""Attempts of one call that are more than one retry budget: the least product of two layers of retries is 2 x 3.
OpenAI's SDKs and the AI SDK make 3; a single layer that is set to 4 or 5 is nobody's mistake."""
SDK_PATIENCE: Final = 600.0
"""Seconds that OpenAI's SDKs wait for an answer, unless they are told otherwise."""
SURE_TO_HANG: Final = 31.0
"""Seconds without an answer that are no deadline which is still to come: half a minute is a usual one."""
_PATIENCE_OF_SDK: Final = ("x-stainless-read-timeout", "x-stainless-timeout")
"""Headers in which the SDKs say it, in Python and in Node."""
REFUSALS: Final = frozenset({409, 423, 425, 429, 503})
"""Statuses with which a program turns a second message of a conversation away on purpose."""
_INCOMPLETE: Final = re.compile(
    r"incomplete|truncat|cut (?:off|short)|unfinished|token limit|max_tokens|finish_?reason|\blength\b|partial",
    re.IGNORECASE,
)


def trial_signs(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """The signs of all trials that were run.

    Args:
        found: their outcomes.
        alone: one user with nothing in the way.
    """
    yield from _stacked_retries(found, alone)
    yield from _blind_retries(found, alone)
    yield from _swallowed_causes(found)
    yield from _poisoned(found, alone)
    yield from _overlap(found)
    yield from _burst(found, alone)
    yield from _incomplete(found, alone)
    yield from _no_deadline(found, alone)
    yield from _goes_on_after_deadline(found)


def _stacked_retries(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL305: the SDK's own count of attempts began anew, or there were `STACKED` of them that are not one row of
    the SDK's own: who sets `max_retries=5` has one layer."""
    outcome = found.get(trials.FAILING)
    if outcome is None:
        return
    tries = max(_attempts(outcome), key=lambda one: (one.restarts, one.count), default=None)
    usual = max((one.count for one in _attempts(alone)), default=1)
    if tries is None or tries.count <= usual:
        return
    if not tries.restarts and (tries.count < STACKED or tries.count <= tries.by_sdk):
        return
    layers = f", in {tries.restarts + 1} rounds of the SDK's own retries" if tries.restarts else ""
    yield Sign(
        codes=("TL305",),
        source="behaviour",
        summary=f"While the provider answers 500, one model call is tried {tries.count} times{layers}: retries "
        "are stacked.",
        evidence=(_evidence(trials.FAILING, f"{usual} try", f"{tries.count} tries of one call"),),
    )


def _blind_retries(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL304: a refused key is tried again, which no retry can mend; or a retry repeats a message or a tool."""
    refused = found.get(trials.REFUSING)
    if refused is not None:
        tries = max((one.count for one in _attempts(refused)), default=0)
        usual = max((one.count for one in _attempts(alone)), default=1)
        if tries > max(1, usual):
            yield Sign(
                codes=("TL304",),
                source="behaviour",
                summary=f"A call that the provider refuses for good (401) is made {tries} times: the retry does "
                "not look at the error.",
                evidence=(_evidence(trials.REFUSING, f"{usual} call", f"{tries} calls"),),
            )
    for name in (
        trials.FAILING, trials.REFUSING, trials.AFTER_TOOLS, trials.FAILING_ONCE, trials.FAILING_MIDWAY,
    ):  # fmt: skip
        yield from repeats(found[name], name, alone) if name in found else ()


def repeats(outcome: LevelOutcome, name: str, undisturbed: LevelOutcome) -> Iterator[Sign]:
    """TL304 for a level with faults: what retries repeated that is not there twice without faults, too."""
    usual = usual_times_said(undisturbed.requests, undisturbed.recorded)
    all_repeats = [
        r for request in outcome.requests for r in repeated_by_retries(request, outcome.recorded, usual)
    ]
    for sentence in dict.fromkeys(repeat.sentence for repeat in all_repeats):
        yield Sign(
            codes=("TL304",),
            source="experiment",
            summary=f"A failed model call makes the program run the whole turn again. {sentence}",
            evidence=(_evidence(name, "once", sentence),),
        )


def _attempts(outcome: LevelOutcome) -> list[Attempts]:
    """The tries of each call, request by request: two users may well ask the same."""
    return [
        attempts
        for request in outcome.requests
        for attempts in attempts_of(
            outcome.recorded[c.number] for c in request.calls if c.number in outcome.recorded
        )
    ]


def _swallowed_causes(found: Trials) -> Iterator[Sign]:
    """TL505: the provider's refusal made a 5xx, and neither the answer nor the program's output says why."""
    outcome = found.get(trials.REFUSING)
    if outcome is None:
        return
    for request in outcome.requests:
        if is_swallowed(request, outcome):
            yield Sign(
                codes=("TL505",),
                source="behaviour",
                summary=f"The provider refuses the key (401) and the user gets a bare {request.status}: neither "
                "the answer nor the program's output says why.",
                evidence=(
                    _evidence(trials.REFUSING, "401: key refused", f"{request.status}: {request.answer!r}"),
                ),
            )
            return


_TOLD: Final = re.compile(
    r"error|exception|traceback|fail|refus|denied|unauthori[sz]ed|invalid|401|api.?key", re.IGNORECASE
)
_ACCESS_LOG: Final = re.compile(r'"?(?:GET|POST|PUT|PATCH|DELETE) /\S*|HTTP/\d')
_SPECIFIC: Final = re.compile(
    r"\w+(?:Error|Exception)\b|\b4\d\d\b|rate.?limit|quota|time[d-]?.?out|connect|refus|api.?key|authenti|unauthori[sz]ed|provider|model|upstream|openai|llm|credential|"
    r"TL\d{3}|request.?id|trace.?id|incident",
    re.IGNORECASE,
)


def is_swallowed(request: RequestRecord, outcome: LevelOutcome) -> bool:
    """Whether a request failed with a 5xx after a failed model call, and nobody can learn why.

    Anything in the answer that names the model's side, an error's type or an id to look up counts as told, and so
    does any line of output that speaks of an error and is no line of an access log. Where the output could not be
    read, nobody knows.
    """
    if request.succeeded or request.status is None or request.status < 500 or not outcome.listened:
        return False
    if request.cause is not None and request.cause.source in ("guard", "log"):
        return False
    if not any(call.error is not None for call in request.calls):
        return False
    told_in_answer = _SPECIFIC.search(request.answer)
    lines = (line for line in outcome.output if not _ACCESS_LOG.search(line))
    return not told_in_answer and not any(_TOLD.search(line) for line in lines)


def _poisoned(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL207: after a failure that is over, requests go on failing that nothing stands in the way of.

    Only where one user alone had no failure. The conversation's own later turns are looked at first, then new
    users' after all faults.
    """
    if alone.level.failed:
        return
    for name in (trials.FAILING_ONCE, trials.FAILING_MIDWAY):
        once = found.get(name)
        if once is not None and (later := _failing_undisturbed(once)):
            yield _poison_sign(name, later, "the turns after it in the same conversation")
            return
    after = found.get(trials.AFTERWARDS)
    if after is not None and after.requests and (later := _failing_undisturbed(after)):
        yield _poison_sign(trials.AFTERWARDS, later, "requests of new users")


def _failing_undisturbed(outcome: LevelOutcome) -> list[RequestRecord]:
    """Requests of a lone user that failed though no call met a fault meanwhile: whose a call is that holds no word
    of a user is not known."""
    return [
        request
        for request in _broken(outcome)
        if not any(call.fault and request.started <= call.started <= request.finished for call in outcome.calls)
    ]


def is_whole_after_failure(hazard: Hazard) -> bool:
    """Whether the guard saw an agent go on after a failure that left no tool call open in it.

    An agent that a conversation keeps has lost a message then, through a fault that only the trial made, and the
    provider takes its history. Were the turns after it to fail, that would be seen.
    """
    return hazard.code == "TL207" and hazard.measures.get("open_calls") == 0


def _poison_sign(name: str, later: list[RequestRecord], whose: str) -> Sign:
    cause = later[0].cause
    why = f": {cause.text}" if cause is not None else ""
    return Sign(
        codes=("TL207",),
        source="experiment",
        summary=f"After one failed model call {whose} fail too, though the provider answers again{why}.",
        evidence=(_evidence(name, "0 failed", f"{len(later)} failed"),),
    )


def _overlap(found: Trials) -> Iterator[Sign]:
    """TL204: two messages of one conversation at once break a request, or one of them is lost for good.

    A program that turns the second one away (409, 423, 429, 503) or lets it wait is right. The same messages one
    by one must have broken and lost nothing: a program may forget old messages on purpose.
    """
    outcome = found.get(trials.TWO_AT_ONCE)
    in_order = found.get(trials.ONE_BY_ONE)
    if outcome is None or in_order is None or _broken(in_order) or _lost_for_good(in_order):
        return
    broken, lost = _broken(outcome), _lost_for_good(outcome)
    if not broken and not lost:
        return
    what = f"{len(lost)} of {outcome.conditions.rounds} conversations lost a message"
    if broken:
        cause = broken[0].cause
        what = f"{len(broken)} requests failed" + (f" ({cause.text})" if cause else "")
    yield Sign(
        codes=("TL204", "TL206", "TL201"),
        source="experiment",
        summary=f"With two messages of one conversation at once, {what}; one after the other none.",
        evidence=(_evidence(trials.TWO_AT_ONCE, "none", what),),
    )


def _broken(outcome: LevelOutcome) -> list[RequestRecord]:
    return [r for r in outcome.requests if not r.succeeded and r.status is not None and r.status not in REFUSALS]


def _lost_for_good(outcome: LevelOutcome) -> list[RequestRecord]:
    """Conversations whose last prompt lacks an earlier message."""
    last = max((request.turn for request in outcome.requests), default=0)
    return [request for request in outcome.requests if request.lost and request.turn == last]


def _burst(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL303: one request sends a burst, and under a limit calls of it are refused and never answered."""
    outcome = found.get(trials.BURST)
    if outcome is None or alone.level.failed:
        return
    refused = [call for call in outcome.calls if call.status == 429]
    unanswered = sum(not request.succeeded for request in outcome.requests)
    if refused and unanswered:
        yield Sign(
            codes=("TL303",),
            source="experiment",
            summary=f"One request makes {trials.burst_of(alone)} model calls at once; where the provider lets "
            f"{trials.BURST_LIMIT:g} a second through, {len(refused)} are refused and the request fails.",
            evidence=(
                _evidence(trials.BURST, "0 refused", f"{len(refused)} refused, {unanswered} requests failed"),
            ),
        )


def _incomplete(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL307: an answer that the provider marked as cut is given to the user as a whole one."""
    whole = [alone.marks[request.id] for request in alone.requests if request.id in alone.marks]
    for name in (trials.CUT_SHORT, trials.CUT_STREAM):
        outcome = found.get(name)
        if outcome is None or alone.level.failed:
            continue
        passed = [request for request in outcome.requests if passed_as_whole(request, outcome, whole)]
        if passed:
            yield Sign(
                codes=("TL307",),
                source="experiment",
                summary=f"When {name}, the user gets half an answer as a whole one (HTTP {passed[0].status}).",
                evidence=(_evidence(name, "a whole answer", f"{passed[0].answer[:80]!r}"),),
            )
            return


def passed_as_whole(request: RequestRecord, outcome: LevelOutcome, whole: Sequence[Marks]) -> bool:
    """Whether the answer looks like any other; one that is nearly empty holds nothing of the model's text.

    Args:
        request: one of `outcome`.
        outcome: the level.
        whole: what answers say of themselves that nothing has cut.
    """
    if not request.succeeded or len(request.answer) <= 8 or _INCOMPLETE.search(request.answer):
        return False
    marks = outcome.marks.get(request.id, {})
    return not says_incomplete(marks) and not differs(marks, whole)


def _no_deadline(found: Trials, alone: LevelOutcome) -> Iterator[Sign]:
    """TL306: no answer, of any kind, while the provider is silent."""
    seconds = waited_in_vain(found)
    if seconds is not None and not any(request.status is None for request in alone.requests):
        yield Sign(
            codes=("TL306",),
            source="experiment",
            summary=f"When the provider never answers, the user has no answer after {seconds:.0f} s: nothing has "
            "ended the turn by then.",
            evidence=(_evidence(trials.HANGING, "an answer", f"none within {seconds:.0f} s"),),
        )


def waited_in_vain(found: Trials) -> float | None:
    """For how long a user has waited while the provider was silent; None if there was an answer, if the SDK says
    that it gives up later, or if it was not tried."""
    outcome = found.get(trials.HANGING)
    if outcome is None:
        return None
    for request in outcome.requests:
        silent = [outcome.recorded[call.number] for call in request.calls if call.number in outcome.recorded]
        if request.status is None and silent and not any(map(_gives_up, silent)):
            return request.seconds
    return None


def _gives_up(record: RecordedRequest) -> bool:
    """Whether OpenAI's SDK says that it waits for less than it does unless it is told to."""
    return _patience(record) < SDK_PATIENCE


def waits_for_ever(record: RecordedRequest) -> bool:
    """Whether OpenAI's SDK for Python says nothing of its patience, or more than it has by itself: who made the
    client has taken the limit away."""
    return record.headers.get("x-stainless-lang") == "python" and _patience(record) > SDK_PATIENCE


def _patience(record: RecordedRequest) -> float:
    told = next((record.headers[name] for name in _PATIENCE_OF_SDK if name in record.headers), "")
    try:
        return float(told)
    except ValueError:
        return math.inf


def _goes_on_after_deadline(found: Trials) -> Iterator[Sign]:
    """TL503: the program gave up in time, told the user so, and then made further model calls for the turn."""
    outcome = found.get(trials.HANGING)
    for request in outcome.requests if outcome is not None else ():
        late = [call for call in request.calls if call.started > request.finished + LATE]
        if request.status is not None and not request.succeeded and late:
            yield Sign(
                codes=("TL503",),
                source="behaviour",
                summary=f"The turn was given up and the user was told so, but {len(late)} model calls were made "
                "after that.",
                evidence=(_evidence(trials.HANGING, "0 calls after the answer", f"{len(late)} calls"),),
            )


LATE: Final = 0.3
"""Seconds after an answer from which a model call is no straggler: a thread's last step may be late by less."""


def _evidence(experiment: str, before: str, after: str) -> Evidence:
    return Evidence(experiment=experiment, before=before, after=after)


ADVICE: Final = frozenset({"TL306", "TL307"})
"""Hazards of nearly every program as it comes out of a framework's quick start: the SDK's 600 s as only deadline,
a `finish_reason` that nobody looks at. A trial that nobody asked for makes them a note of the report, not a
verdict, as `check` leaves their rules out by default; `--inject hang`, `--inject cut`, a finding of `check` or
what the ramp itself shows makes them one."""


def as_note(sign: Sign) -> str:
    """A sign as a sentence of the report's notes."""
    code = sign.codes[0]
    return f"{sign.summary} See {code} {hazards.get(code).name}: {hazards.get(code).help}"
