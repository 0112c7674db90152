"""A level's timeline as SVG: a lane per conversation, a bar per request, leaks as arcs from owner to reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

from turnlane.probe.report import Leak, RequestRecord

WIDTH: Final = 1000
LABEL: Final = 92
LANE: Final = 18
BAR: Final = 12
TOP: Final = 8
AXIS: Final = 22
MAX_LANES: Final = 60
"""More lanes are hard to read; those with something wrong are kept."""
MAX_ARCS: Final = 40

Lane = tuple[str, list[RequestRecord]]
Scale = Callable[[float], float]
"""Seconds to a place on the picture."""


def timeline(requests: Sequence[RequestRecord], leaks: Sequence[Leak], *, title: str) -> str:
    """One level's requests over time. Empty for no requests.

    Args:
        requests: of one level.
        leaks: of the same level.
        title: what the picture shows, for those who cannot see it.
    """
    if not requests:
        return ""
    lanes, left_out = _lanes(requests)
    shown = [request for _, members in lanes for request in members]
    begin = min(request.started for request in shown)
    end = max(request.finished for request in shown)
    scale = (WIDTH - LABEL) / max(end - begin, 0.001)
    height = TOP + len(lanes) * LANE + AXIS
    rows = {request.id: number for number, (_, members) in enumerate(lanes) for request in members}

    def x(seconds: float) -> float:
        return LABEL + (seconds - begin) * scale

    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        *_axis(begin, end, x, height),
        *(_lane(number, label) for number, (label, _) in enumerate(lanes)),
        *(_bar(request, rows[request.id], x) for request in shown),
        *_arcs(leaks, {request.id: request for request in shown}, rows, x),
        "</svg>",
    ]
    if left_out:
        bad = sum(any(map(wrong, members)) for _, members in left_out)
        what = f"something went wrong in {bad} of them" if bad else "nothing went wrong in them"
        parts.append(f'<p class="muted">{len(left_out)} more conversations are not drawn; {what}.</p>')
    return "\n".join(parts)


def _lanes(requests: Iterable[RequestRecord]) -> tuple[list[Lane], list[Lane]]:
    """A lane per conversation, as they began; and what is left out of too many, which is the harmless first."""
    found: dict[str, list[RequestRecord]] = {}
    for request in sorted(requests, key=lambda one: one.started):
        found.setdefault(request.conversation or request.user, []).append(request)
    lanes = [(members[0].user, members) for members in found.values()]
    if len(lanes) <= MAX_LANES:
        return lanes, []
    ranked = sorted(range(len(lanes)), key=lambda number: (not any(map(wrong, lanes[number][1])), number))
    return [lanes[n] for n in sorted(ranked[:MAX_LANES])], [lanes[n] for n in ranked[MAX_LANES:]]


def wrong(request: RequestRecord) -> bool:
    """Whether anything went wrong with a request."""
    return bool(request.cause or request.leaked or request.lost or request.reordered)


def kind_of(request: RequestRecord) -> str:
    """How a request is drawn, the worst first: `leaked`, `failed`, `lost` or `fine`."""
    if request.leaked:
        return "leaked"
    if request.cause is not None:
        return "failed"
    return "lost" if request.lost or request.reordered else "fine"


def _lane(number: int, label: str) -> str:
    y = TOP + number * LANE
    line = f'<line class="lane" x1="{LABEL}" x2="{WIDTH}" y1="{y + LANE - 3}" y2="{y + LANE - 3}"/>'
    label = escape(label[:14])
    return f'{line}<text class="label" x="{LABEL - 8}" y="{y + BAR - 2}" text-anchor="end">{label}</text>'


def _bar(request: RequestRecord, row: int, x: Scale) -> str:
    y = TOP + row * LANE
    left = x(request.started)
    wide = max(x(request.finished) - left, 2)
    kind = kind_of(request)
    calls = "".join(
        f'<rect class="call{"" if call.status == 200 else " refused"}" x="{x(call.started):.1f}" y="{y + 4}" '
        f'width="{max(x(call.finished) - x(call.started), 1):.1f}" height="{BAR - 8}"/>'
        for call in request.calls
        if call.finished is not None
    )
    return (
        f'<g class="request"><title>{escape(describe(request))}</title>'
        f'<rect class="bar {kind}" x="{left:.1f}" y="{y}" width="{wide:.1f}" height="{BAR}" rx="2"/>'
        f"{calls}{_sign(kind, left, y)}</g>"
    )


def _sign(kind: str, left: float, y: float) -> str:
    """A letter beside the colour: red and green are one colour to some."""
    letter = {"leaked": "L", "failed": "!", "lost": "?"}.get(kind)
    return f'<text class="sign" x="{left + 3:.1f}" y="{y + BAR - 3}">{letter}</text>' if letter else ""


def describe(request: RequestRecord) -> str:
    """A request in a few lines, for its tooltip."""
    lines = [
        f"{request.user}, turn {request.turn}, round {request.round}: {request.seconds:.2f} s, "
        + (f"HTTP {request.status}" if request.status is not None else "no answer"),
        f"asked: {request.prompt[:120]}",
    ]
    if request.leaked:
        lines.append("carried the words of " + ", ".join(request.leaked))
    if request.lost:
        lines.append("an earlier message of its own was missing from its prompt")
    if request.reordered:
        lines.append("its own messages were in another order in its prompt")
    lines.append(f"failed: {request.cause.text[:200]}" if request.cause else f"answered: {request.answer[:120]}")
    return "\n".join([*lines, f"{len(request.calls)} provider calls, id {request.id}"])


def _arcs(
    leaks: Sequence[Leak], requests: dict[str, RequestRecord], rows: dict[str, int], x: Scale
) -> Iterable[str]:
    pairs: dict[tuple[str, str], Leak] = {}
    for leak in leaks:
        if leak.owner_request in requests and leak.seen_request in requests:
            pairs.setdefault((leak.owner_request, leak.seen_request), leak)
    for (source, target), leak in list(pairs.items())[:MAX_ARCS]:
        x1, y1 = x(requests[source].started), TOP + rows[source] * LANE + BAR / 2
        x2, y2 = x(requests[target].finished), TOP + rows[target] * LANE + BAR / 2
        bend = (x1 + x2) / 2 + 30
        told = f"{leak.seen_by}'s {leak.where} holds {leak.word}, the word of {leak.owner}"
        yield (
            f'<path class="arc" d="M {x1:.1f} {y1} Q {bend:.1f} {(y1 + y2) / 2:.1f} {x2:.1f} {y2}">'
            f"<title>{escape(told)}</title></path>"
        )


def _axis(begin: float, end: float, x: Scale, height: int) -> Iterable[str]:
    step = _step(end - begin)
    number = 0
    while number * step <= end - begin:
        at = x(begin + number * step)
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 4}" y2="{height - AXIS + 4}"/>'
        yield f'<text class="tick" x="{at:.1f}" y="{height - 6}">{number * step:g} s</text>'
        number += 1


def _step(seconds: float) -> float:
    """A round number of seconds of which about eight fit."""
    wanted = max(seconds, 0.001) / 8
    size = 10.0 ** (len(str(int(1 / wanted))) * -1 if wanted < 1 else len(str(int(wanted))) - 1)
    return next((size * factor for factor in (1, 2, 5, 10) if size * factor >= wanted), size * 10)
