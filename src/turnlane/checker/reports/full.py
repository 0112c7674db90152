"""For people: each finding with its line, the way that leads there, and the right form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.reports import Report
from turnlane.checker.reports.concise import headline
from turnlane.checker.reports.position import position, shown_line
from turnlane.checker.reports.style import SEVERITY_COLORS, Style, printable

WIDEST: Final = 160
"""Characters of a line that are shown; a minified file has lines without end."""


def render(report: Report) -> str:
    """The findings, an empty line after each."""
    return "".join(f"{line}\n" for finding in report.findings for line in _lines(finding, report))


def _lines(finding: Finding, report: Report) -> Iterator[str]:
    yield headline(finding, report)
    yield from _marked_line(finding, report)
    yield from _trace(finding, report)
    style = Style(report.colored)
    yield f"  {style('help', 'cyan')}: {_help(finding)}"
    if finding.fix is not None and not finding.fix.safe:
        yield f"  {style('fix', 'cyan')}: {finding.fix.title} (with --fix --unsafe-fixes)"
    yield ""


def _help(finding: Finding) -> str:
    if finding.help:
        return finding.help
    from turnlane import hazards

    return hazards.get(finding.code).help


def _marked_line(finding: Finding, report: Report) -> Iterator[str]:
    """The first line of the place, and carets below it."""
    place = finding.place
    where = position(place, report.texts)
    line = shown_line(place, report.texts)
    if not line.strip():
        return
    start = min(where.column - 1, len(line))
    end = where.end_column - 1 if place.end_line == place.line else len(line.rstrip())
    cut = max(0, min(start - WIDEST // 2, len(line) - WIDEST))
    shown = line[cut : cut + WIDEST]
    end = min(max(end, start + 1), cut + WIDEST)
    number = str(where.line)
    margin = " " * len(number)
    style = Style(report.colored)
    carets = style("^" * max(1, _width(line[start:end])), SEVERITY_COLORS[finding.severity])
    yield f" {margin} {style('|', 'cyan')}"
    yield f" {style(number, 'cyan')} {style('|', 'cyan')} {printable(shown)}"
    yield f" {margin} {style('|', 'cyan')} {' ' * _width(line[cut:start])}{carets}"


def _trace(finding: Finding, report: Report) -> Iterator[str]:
    before = "  path:"
    for step in finding.trace:
        yield f"{before} {printable(f'{position(step.place, report.texts)} {step.text}')}"
        before = "     ->"


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(bool(unicodedata.combining(letter)) for letter in text)
