"""What the ramp speaks for: what the guard saw, and what users and provider saw. Pure: outcomes in, signs out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from turnlane.probe.failures import Failure, minimal_level, plainest
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import tool_results
from turnlane.probe.report import Evidence, Hazard, ProviderCall, RequestRecord
from turnlane.probe.trial_signs import is_swallowed, passed_as_whole
from turnlane.probe.verdict import Sign

LEAK = Failure("leak")
LOST = Failure("lost")
ERROR = Failure("error")
REFUSAL = Failure("refusal")

SHARED: Final = ("TL202", "TL201", "TL203", "TL205", "TL206", "TL605", "TL301", "TL403", "TL204", "TL207")
"""What mixes users: the program's own data first, since a shared object of a framework is told by the guard, an
experiment or `check`."""

WORKS_ON: Final = 0.25
"""Seconds after an answer from which a model call is no straggler of its own turn."""

_PASSWORD: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:[^\s/@\"']+@[\w.-]+", re.IGNORECASE)
_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\)")
_RAISED: Final = re.compile(
    r"Traceback \(most recent call last\)|\b[A-Z]\w*(?:Error|Exception): |^\s+at \S.*:\d+:\d+|"
    r"Cannot read propert|is not a function\b|\bECONNREFUSED\b|\bENOENT\b|\bENOTFOUND\b",
    re.MULTILINE,
)
"""Text of an exception in a tool's result. A result that is JSON is never taken for one: a structured error is the
right form. Nor is a sentence after a bare `Error: `, which a tool may say on purpose."""
_PAIRING: Final = re.compile(r"tool_call_id|'tool_calls'|role 'tool'")


def guard_signs(hazards: Iterable[Hazard], levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """The hazards that the guard saw, each with the requests it harmed."""
    for hazard in hazards:
        harmed = _harmed(hazard, levels)
        what = f"failed or leaked of those it names: {len(harmed)}" if harmed else hazard.object or hazard.name
        yield Sign(
            codes=(hazard.code,),
            source="guard",
            summary=hazard.message,
            fix=hazard.fix,
            minimal_level=_level_at(hazard, levels),
            evidence=(Evidence(experiment="the guard inside the program", before=_seen(hazard), after=what),),
            place=hazard.place,
        )


def _seen(hazard: Hazard) -> str:
    """How often is told by a process at its end only."""
    return f"{hazard.count} seen" if hazard.count > 1 else "seen"


def _harmed(hazard: Hazard, levels: Sequence[LevelOutcome]) -> list[RequestRecord]:
    named = set(hazard.requests)
    return [
        request
        for outcome in levels
        for request in outcome.requests
        if request.id in named and (not request.succeeded or request.leaked or request.lost)
    ]


def _level_at(hazard: Hazard, levels: Sequence[LevelOutcome]) -> int | None:
    for outcome in levels:
        times = [(request.started, request.finished) for request in outcome.requests]
        if times and min(t[0] for t in times) <= hazard.time <= max(t[1] for t in times):
            return outcome.level.concurrency
    return None


def ramp_signs(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """What users and provider saw."""
    yield from _leaks(levels)
    yield from _lost(levels)
    yield from _mixed(levels)
    yield from _refused(levels)
    yield from _swallowed(levels)
    yield from _told_secrets(levels)
    yield from _raising_tools(levels)
    yield from _hangs(levels)
    yield from _truncated(levels)


def _ramp(failure: Failure, levels: Sequence[LevelOutcome]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(experiment=f"{outcome.level.concurrency} at once", before=failure.told(outcome), after="")
        for outcome in levels
    )


def _leaks(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """Something is shared between users; what, the guard, an experiment or `check` says.

    Where the guard watches a framework and saw nothing shared in it, it is data of the program's own.
    """
    level = minimal_level(LEAK, levels)
    if level is None:
        return
    leak = next(leak for outcome in levels for leak in outcome.leaks)
    when = "one after the other" if level == 1 else f"with {level} at once"
    yield Sign(
        codes=SHARED,
        source="behaviour",
        summary=f"A user's words turn up in another user's {leak.where}, {when}: {leak.seen_by} saw those of "
        f"{leak.owner}.",
        minimal_level=level,
        evidence=_ramp(LEAK, levels),
    )


def _lost(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """Users lose messages of their own only when others are there: state that all of them write is overwritten."""
    level = minimal_level(LOST, levels)
    if level is None or level == 1 or any(map(LEAK.of, levels)):
        return
    yield Sign(
        codes=("TL206", "TL201", "TL202", "TL203", "TL204", "TL207", "TL301", "TL605"),
        source="behaviour",
        summary=f"With {level} users at once, conversations lose messages of their own; with one user none does.",
        minimal_level=level,
        evidence=_ramp(LOST, levels),
    )


def _mixed(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """The provider refuses prompts in which tool calls and results do not pair, only with several users at once:
    runs of different users write into one history."""
    alone = [outcome for outcome in levels if outcome.level.concurrency == 1]
    mixed = [outcome for outcome in levels if any(map(_is_mixed, ERROR.of(outcome)))]
    if not mixed or not alone or any(map(ERROR.of, alone)) or any(map(LEAK.of, levels)):
        return
    level = min(outcome.level.concurrency for outcome in mixed)
    yield Sign(
        codes=SHARED,
        source="behaviour",
        summary=f"With {level} users at once the provider refuses prompts in which tool calls and results do not "
        "pair: several runs write into one history.",
        minimal_level=level,
        evidence=_ramp(ERROR, levels),
    )


def _is_mixed(request: RequestRecord) -> bool:
    return any(call.error is not None and _PAIRING.search(call.error) for call in request.calls)


def _refused(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL303: users get the provider's 429: the program sends more than the limit lets through."""
    level = minimal_level(REFUSAL, levels)
    if level is None:
        return
    outcome = plainest(REFUSAL, levels)
    yield Sign(
        codes=("TL303",),
        source="behaviour",
        summary=f"With {level} at once, requests fail because the provider's rate limit refuses their model "
        "calls: nothing in the program follows the limit.",
        minimal_level=level,
        evidence=(
            *_ramp(REFUSAL, levels),
            Evidence(
                experiment="calls refused (429)",
                before=str(sum(call.status == 429 for call in outcome.calls)),
                after=f"of {len(outcome.calls)}",
            ),
        ),
    )


def _swallowed(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL505 in the ramp: a failed model call made a bare 5xx, and nothing else tells of it."""
    for outcome in levels:
        found = [request for request in outcome.requests if is_swallowed(request, outcome)]
        if found:
            error = next(call.error for call in found[0].calls if call.error is not None)
            yield Sign(
                codes=("TL505",),
                source="behaviour",
                summary=f"{len(found)} of {len(outcome.requests)} requests got a bare {found[0].status}; the "
                f"provider had said {error!r}, which neither the answer nor the program's output tells.",
                minimal_level=outcome.level.concurrency,
                evidence=(
                    Evidence(experiment="what the provider said", before=error or "", after=found[0].answer),
                ),
            )
            return


def _told_secrets(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL405: an answer shows an address with its password, or a traceback, as its normal text; or a tool tells the
    model such an address."""
    for outcome in levels:
        for name, text in _results(outcome):
            if _PASSWORD.search(text):
                yield Sign(
                    codes=("TL405",),
                    source="behaviour",
                    summary=f"What the tool {name!r} tells the model holds an address with its password; the "
                    "model may show it to the user.",
                    minimal_level=outcome.level.concurrency,
                )
                return
        for request in outcome.requests:
            secret = _PASSWORD.search(request.answer)
            if secret or (request.succeeded and _TRACEBACK.search(request.answer)):
                yield Sign(
                    codes=("TL405",),
                    source="behaviour",
                    summary="An answer shows the inside of the program: "
                    + ("an address with its password." if secret else "a traceback."),
                    minimal_level=outcome.level.concurrency,
                )
                return


def _raising_tools(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL401: the model is told the text of an exception as a tool's result."""
    for outcome in levels:
        for name, text in _results(outcome):
            if not text.lstrip().startswith(("{", "[")) and _RAISED.search(text):
                yield Sign(
                    codes=("TL401", "TL405"),
                    source="behaviour",
                    summary=f"The tool {name!r} fails, and the model is told the exception's text.",
                    minimal_level=outcome.level.concurrency,
                )
                return


def _results(outcome: LevelOutcome) -> Iterator[tuple[str, str]]:
    """What tools have told the model: their names and the texts."""
    for record in outcome.recorded.values():
        yield from tool_results(record.body)


def _hangs(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL306 in the ramp: the provider was silent, as `--inject hang` asked, and so was the program."""
    for outcome in levels:
        found = [r for r in outcome.requests if r.status is None and any(call.fault == "hang" for call in r.calls)]
        if found:
            yield Sign(
                codes=("TL306",),
                source="experiment",
                summary="Where a model call is never answered, the user has no answer after "
                f"{found[0].seconds:.0f} s ({len(found)} of {len(outcome.requests)} requests): nothing has ended "
                "the turn by then.",
                minimal_level=outcome.level.concurrency,
                evidence=(Evidence(experiment="hang", before="an answer", after="none"),),
            )
            return


def _truncated(levels: Sequence[LevelOutcome]) -> Iterator[Sign]:
    """TL307 in the ramp: a stream broke off, as `--inject cut` or the script asked, or an answer ended at the
    limit of tokens that the program sets, and half of an answer was given as a whole one. With retries the last
    call of a request is the one that it answers with."""
    whole = [
        outcome.marks[request.id]
        for outcome in levels
        for request in outcome.requests
        if request.succeeded and request.id in outcome.marks and not any(map(_is_cut, request.calls))
    ]
    for outcome in levels:
        cut = [request for request in outcome.requests if request.calls and _is_cut(request.calls[-1])]
        found = [request for request in cut if passed_as_whole(request, outcome, whole)]
        if found:
            yield Sign(
                codes=("TL307",),
                source="experiment",
                summary="Where the model's answer breaks off or ends at its limit, the user gets half an answer "
                f"as a whole one ({len(found)} of {len(outcome.requests)} requests).",
                minimal_level=outcome.level.concurrency,
                evidence=(Evidence(experiment="cut", before="a whole answer", after=repr(found[0].answer[:80])),),
            )
            return


def _is_cut(call: ProviderCall) -> bool:
    return call.fault == "cut_stream" or call.finish_reason == "length"


def works_on(levels: Sequence[LevelOutcome]) -> list[RequestRecord]:
    """Requests that were answered well while model calls for them still ran, or were made later."""
    return [
        request
        for outcome in levels
        for request in outcome.requests
        if request.succeeded
        and request.status is not None
        and any(call.finished is None or call.finished > request.finished + WORKS_ON for call in request.calls)
    ]
