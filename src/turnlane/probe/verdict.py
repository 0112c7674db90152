"""From signs to verdicts: what speaks for a hazard, how sure that makes it, and where it is in the source.

Confidence is 1 minus the product of (1 - weight) over the kinds of sources that speak for a hazard, each kind
once: two sources that are each wrong now and then are seldom wrong together. See `WEIGHTS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, Literal

from turnlane import hazards
from turnlane.probe.report import Evidence, Place, Verdict

Source = Literal["guard", "experiment", "message", "behaviour", "static"]

WEIGHTS: Final[Mapping[Source, float]] = {
    "guard": 0.8,
    "experiment": 0.7,
    "message": 0.7,
    "behaviour": 0.6,
    "static": 0.5,
}
"""How sure one kind of source is alone.

`guard`: the guard saw it happen inside the program. `experiment`: the failure vanished with the one change that
takes this cause away. `message`: an error text that only this hazard gives. `behaviour`: what users and provider
saw. `static`: `check` sees it in the source; alone it makes no verdict, since nothing was seen to go wrong.
"""
SUREST: Final = 0.99
"""No observation from outside is beyond doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFinding:
    """What `turnlane check` finds in the target's source."""

    code: str
    file: str
    line: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One thing that speaks for a hazard.

    Attributes:
        codes: the hazard; several where what was seen cannot tell them apart, the likeliest first. Other signs
            or `check` choose among them.
        source: what kind of source it is.
        summary: what was seen, in a sentence.
        fix: what to do; empty for the catalogue's sentence.
        minimal_level: the fewest users at once with which it was seen; None where that does not matter.
        evidence: the measurements behind it.
        place: where in the program, if known.
    """

    codes: tuple[str, ...]
    source: Source
    summary: str
    fix: str = ""
    minimal_level: int | None = None
    evidence: tuple[Evidence, ...] = ()
    place: Place | None = None


def verdicts_of(signs: Iterable[Sign], static: Sequence[StaticFinding] = ()) -> tuple[Verdict, ...]:
    """The hazards that the signs speak for, the surest first; none without a sign, whatever `check` finds."""
    gathered = list(signs)
    by_code: dict[str, list[Sign]] = {}
    sure = {sign.codes[0] for sign in gathered if len(sign.codes) == 1}
    for sign in gathered:
        by_code.setdefault(_chosen(sign, sure, static), []).append(sign)
    found = (_verdict(code, of_code, static) for code, of_code in by_code.items())
    return tuple(sorted(found, key=lambda verdict: (-verdict.confidence, verdict.code)))


def _chosen(sign: Sign, sure: Set[str], static: Sequence[StaticFinding]) -> str:
    """Of several candidates the one that a sure sign names, else one that `check` finds, else the likeliest."""
    if len(sign.codes) == 1:
        return sign.codes[0]
    checked = {finding.code for finding in static}
    named = [*(code for code in sign.codes if code in sure), *(code for code in sign.codes if code in checked)]
    return next(iter(named), sign.codes[0])


def _verdict(code: str, signs: Sequence[Sign], static: Sequence[StaticFinding]) -> Verdict:
    """Signs in the order of their sources' weight: the surest gives the sentence and the place."""
    ordered = sorted(signs, key=lambda sign: -WEIGHTS[sign.source])
    agreeing = [finding for finding in static if finding.code == code]
    sources: set[Source] = {sign.source for sign in signs}
    if agreeing:
        sources.add("static")
    first = ordered[0]
    return Verdict(
        code=code,
        confidence=confidence(sources),
        summary=first.summary,
        fix=next((sign.fix for sign in ordered if sign.fix), hazards.get(code).help),
        minimal_level=min((s.minimal_level for s in ordered if s.minimal_level is not None), default=None),
        evidence=_evidence(ordered, agreeing),
        place=_place(ordered, agreeing),
    )


_PLAIN_LIST: Final = re.compile(r"`(?!this\.)[\w$]+`.* keeps a conversation for all users")


def static_evidence(findings: Iterable[StaticFinding]) -> list[StaticFinding]:
    """The findings, and what else they say: in TypeScript `check` names a module's list of messages as TL201, as
    it does an agent that holds one, and for the catalogue the bare list is TL202."""
    made = list(findings)
    lists = [finding for finding in made if finding.code == "TL201" and _PLAIN_LIST.match(finding.message)]
    return [*made, *(replace(finding, code="TL202") for finding in lists)]


def confidence(sources: Iterable[Source]) -> float:
    """How sure these kinds of sources are together."""
    doubt = math.prod(1 - WEIGHTS[source] for source in set(sources))
    return round(min(SUREST, 1 - doubt), 2)


def _evidence(signs: Iterable[Sign], agreeing: Sequence[StaticFinding]) -> tuple[Evidence, ...]:
    told = dict.fromkeys(evidence for sign in signs for evidence in sign.evidence)
    if agreeing:
        first = agreeing[0]
        where = f"{first.file}:{first.line}"
        told[Evidence(experiment="turnlane check", before=first.message or "finds it", after=where)] = None
    return tuple(told)


def _place(signs: Iterable[Sign], agreeing: Sequence[StaticFinding]) -> Place | None:
    seen = next((sign.place for sign in signs if sign.place is not None), None)
    if seen is not None or not agreeing:
        return seen
    return Place(agreeing[0].file, agreeing[0].line)
