"""Plots per level as SVG: how long users wait beside the provider's own time, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from turnlane.probe.report import Level

WIDTH: Final = 460
HEIGHT: Final = 220
LEFT: Final = 48
BOTTOM: Final = 34
TOP: Final = 14
RIGHT: Final = 12


def latency(levels: Sequence[Level]) -> str:
    """p50 and p99 of each level and the provider's own p50, in seconds. Empty when nothing was measured."""
    lines = [
        ("p50", "p50", [level.p50 for level in levels]),
        ("p99", "p99", [level.p99 for level in levels]),
        ("provider", "provider p50", [level.provider_p50 for level in levels]),
    ]
    if not any(value is not None for _, _, values in lines for value in values):
        return ""
    highest = max(value for _, _, values in lines for value in values if value is not None)
    across, up = _scales(len(levels), highest)
    parts = [_frame("Seconds by users at once", levels, highest, across, up, unit=" s")]
    for place, (kind, label, values) in enumerate(lines):
        points = [(across(number), up(value)) for number, value in enumerate(values) if value is not None]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {kind}" points="{drawn}"/>')
        parts += [f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
        parts.append(_legend(place, kind, label))
    return "\n".join([*parts, "</svg>"])


def troubles(levels: Sequence[Level]) -> str:
    """The share of each level's requests that failed, leaked or lost something, in per cent."""
    kinds: list[tuple[str, str, Callable[[Level], int]]] = [
        ("failed", "errors", lambda level: level.failed),
        ("leaked", "leaks", lambda level: level.leaks),
        ("lost", "lost", lambda level: (level.lost or 0) + (level.reordered or 0)),
    ]
    across, up = _scales(len(levels), 100)
    parts = [_frame("Per cent of requests by users at once", levels, 100, across, up, unit=" %")]
    for place, (kind, label, number_of) in enumerate(kinds):
        for number, level in enumerate(levels):
            share = min(100.0, 100 * number_of(level) / level.requests) if level.requests else 0.0
            x, y = across(number) - 24 + place * 16, up(share)
            told = f"{label} at {level.concurrency}: {number_of(level)} of {level.requests}"
            parts.append(
                f'<rect class="bar {kind}" x="{x:.1f}" y="{y:.1f}" width="13" height="{up(0) - y:.1f}">'
                f"<title>{escape(told)}</title></rect>"
            )
        parts.append(_legend(place, kind, label))
    return "\n".join([*parts, "</svg>"])


def _scales(number: int, highest: float) -> tuple[Callable[[int], float], Callable[[float], float]]:
    wide = (WIDTH - LEFT - RIGHT) / max(number, 1)
    high = HEIGHT - TOP - BOTTOM
    return (
        lambda level: LEFT + wide * (level + 0.5),
        lambda value: TOP + high * (1 - value / (highest or 1)),
    )


def _frame(
    title: str,
    levels: Sequence[Level],
    highest: float,
    across: Callable[[int], float],
    up: Callable[[float], float],
    *,
    unit: str,
) -> str:
    lines = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in (0, highest / 2, highest):
        y = up(value)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}{unit}</text>'
        )
    for number, level in enumerate(levels):
        told = f'<text class="tick" x="{across(number):.1f}" y="{HEIGHT - 18}" text-anchor="middle">'
        lines.append(f"{told}{level.concurrency}</text>")
    lines.append(
        f'<text class="tick" x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">users</text>'
    )
    return "\n".join(lines)


def _legend(place: int, kind: str, label: str) -> str:
    x = LEFT + 8 + place * 110
    key = f'<rect class="key {kind}" x="{x}" y="2" width="9" height="9"/>'
    return f'{key}<text class="tick" x="{x + 13}" y="10">{label}</text>'
