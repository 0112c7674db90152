"""`--inject`: which faults stand at the practice provider, and what became of them.

`429=10/s` is a rate limit, `429=5%` a share of calls, `latency=200ms..2s` a range of seconds; every other fault is
named with the share of the provider calls that it meets.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from turnlane.practice import Budget, Fault, ScriptError
from turnlane.probe.conditions import Conditions
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.prompts import repeated_by_retries, usual_times_said
from turnlane.probe.report import FaultReport, ProviderCall, RequestRecord
from turnlane.probe.trouble import ProbeError

_FAULTS: Final[Mapping[str, Fault]] = {
    "429": Fault("rate_limit"),
    "quota": Fault("insufficient_quota"),
    "401": Fault("unauthorized"),
    "hang": Fault("hang"),
    "drop": Fault("drop"),
    "reset": Fault("drop", reset=True),
    "html": Fault("html"),
    "malformed": Fault("malformed_stream"),
    "cut": Fault("cut_stream"),
    "stall": Fault("stall_stream"),
    "empty": Fault("empty"),
}
_EXAMPLE: Final = "429=10/s,500=5%,latency=200ms..2s"
_SECONDS: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s)")
_UNITS: Final = {"ms": 0.001, "s": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What `--inject` asks for.

    Attributes:
        faults: the faults that stand, each under the words it was asked for with.
        budget: the rate limit.
        budget_words: the words it was asked for with.
        latency: seconds that the provider takes, or a range of them.
    """

    faults: Mapping[str, Fault]
    budget: Budget | None = None
    budget_words: str = ""
    latency: float | tuple[float, float] | None = None

    def applied(self, conditions: Conditions) -> Conditions:
        """The same conditions with these faults. Faults keep their identity: they count over all levels."""
        return replace(
            conditions,
            faults=(*conditions.faults, *self.faults.values()),
            budget=self.budget or conditions.budget,
            latency=conditions.latency if self.latency is None else self.latency,
        )

    def asks_for(self, *kinds: str) -> bool:
        """Whether a fault of one of these kinds was asked for; `rate_limit` also by a limit."""
        return any(fault.kind in kinds for fault in self.faults.values()) or (
            self.budget is not None and "rate_limit" in kinds
        )


def parse_injection(text: str) -> Injection:
    """Read what stands behind `--inject`.

    Raises:
        ProbeError: something in it cannot be understood; says what, and how to write it.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ProbeError(f"--inject is empty: name faults and how often they come, as in {_EXAMPLE}.")
    faults: dict[str, Fault] = {}
    budget, budget_words = None, ""
    latency: float | tuple[float, float] | None = None
    for word, (name, value) in zip(words, map(_halves, words), strict=True):
        if name == "latency":
            latency = _latency(word, value)
        elif value.endswith("/s"):
            budget, budget_words = _budget(word, name, value), word
        else:
            faults[word] = replace(_fault(word, name), rate=_share(word, value))
    _check_one_each(words)
    return Injection(faults=faults, budget=budget, budget_words=budget_words, latency=latency)


def _halves(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not value.strip():
        raise ProbeError(f"--inject {word}: say how often it comes, as in {name.strip() or '500'}=5%.")
    return name.strip().lower(), value.strip().lower()


def _check_one_each(words: Sequence[str]) -> None:
    names = Counter(_halves(word)[0] for word in words)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise ProbeError(f"--inject names {twice} twice: give each fault once.")


def _fault(word: str, name: str) -> Fault:
    if name in _FAULTS:
        return replace(_FAULTS[name])
    try:
        return Fault("server_error", status=int(name))
    except (ValueError, ScriptError):
        known = ", ".join(["500 to 599", *_FAULTS, "latency"])
        raise ProbeError(f"--inject {word}: there is no fault {name!r}. There are {known}.") from None


def _share(word: str, value: str) -> float:
    number = value.removesuffix("%")
    try:
        share = float(number) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ProbeError(
            f"--inject {word}: {value!r} is no share of the provider calls; write it as 5% (or 0.05), above 0 and "
            "at most 100%."
        )
    return share


def _budget(word: str, name: str, value: str) -> Budget:
    if name != "429":
        raise ProbeError(
            f"--inject {word}: only 429 takes a rate such as 10/s; give {name} a share, as in {name}=5%."
        )
    try:
        return Budget(float(value.removesuffix("/s")))
    except ValueError:  # ScriptError is one
        raise ProbeError(
            f"--inject {word}: {value!r} is no rate; write how many calls a second pass, as in 429=10/s."
        ) from None


def _latency(word: str, value: str) -> float | tuple[float, float]:
    low, dots, high = value.partition("..")
    if not dots:
        return _seconds(word, low)
    bounds = (_seconds(word, low), _seconds(word, high))
    if bounds[0] > bounds[1]:
        raise ProbeError(f"--inject {word}: the range ends before it begins; write it as latency=200ms..2s.")
    return bounds


def _seconds(word: str, text: str) -> float:
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        raise ProbeError(f"--inject {word}: {text!r} is no time; write it as 200ms, 2s or 200ms..2s.")
    return float(match["number"]) * _UNITS[match["unit"]]


def fault_reports(injection: Injection, outcomes: Sequence[LevelOutcome]) -> tuple[FaultReport, ...]:
    """What became of each fault in the levels that ran under it.

    Args:
        injection: what was asked for.
        outcomes: levels run under `injection.applied(...)`.
    """
    calls = [(outcome, call) for outcome in outcomes for call in outcome.calls]
    reports = [
        _report(words, [(o, call) for o, call in calls if _is(call, fault)])
        for words, fault in injection.faults.items()
    ]
    if injection.budget is not None:
        # The limit's own refusals carry no kind of fault.
        refused = [(o, call) for o, call in calls if call.status == 429 and call.fault is None]
        reports.append(_report(injection.budget_words, refused))
    return tuple(reports)


def _is(call: ProviderCall, fault: Fault) -> bool:
    return call.fault == fault.kind and (fault.kind != "server_error" or call.status == fault.status)


def _report(words: str, met: Sequence[tuple[LevelOutcome, ProviderCall]]) -> FaultReport:
    numbers = {call.number for _, call in met}
    outcomes = list({id(outcome): outcome for outcome, _ in met}.values())
    requests = [r for o in outcomes for r in o.requests if any(c.number in numbers for c in r.calls)]
    shown = Counter(request.cause.text for request in requests if request.cause is not None)
    return FaultReport(
        fault=words,
        met=len(met),
        requests=len(requests),
        reached_user=sum(shown.values()),
        shown_as=dict(shown.most_common()),
        calls_per_request=sum(len(r.calls) for r in requests) / len(requests) if requests else 0.0,
        repeated=_repeated(outcomes, requests),
    )


def _repeated(outcomes: Sequence[LevelOutcome], requests: Iterable[RequestRecord]) -> tuple[str, ...]:
    recorded = {number: record for outcome in outcomes for number, record in outcome.recorded.items()}
    usual = usual_times_said((request for outcome in outcomes for request in outcome.requests), recorded)
    repeats = (repeat for request in requests for repeat in repeated_by_retries(request, recorded, usual))
    sentences = (repeat.sentence for repeat in repeats)
    return tuple(dict.fromkeys(sentences))
