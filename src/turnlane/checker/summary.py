"""The lines around the findings: how many, which codes, what was not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from turnlane.checker.finding import SEVERITIES, Finding, Note
from turnlane.checker.reports import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from turnlane.checker.fixing import Skipped

FEW_NOTES: Final = 3
"""So many notes of the same text are listed."""


def summary(report: Report) -> str:
    """`Found 3 errors, 2 warnings. [*] 1 fixable with --fix.`"""
    if not report.findings and any(note.broken for note in report.notes):
        return "Nothing found, but a part of the check failed: see the notes.\n"
    if not report.findings:
        return "No hazards found.\n" if report.files else "No files to check.\n"
    counted = Counter(finding.severity for finding in report.findings)
    parts = [_counted(counted[severity], severity) for severity in SEVERITIES if counted[severity]]
    fixes = Counter(finding.fix.safe for finding in report.findings if finding.fix is not None)
    hints = []
    if fixes[True]:
        hints.append(f"[*] {fixes[True]} fixable with --fix")
    if fixes[False]:
        hints.append(f"{fixes[False]} more with --fix --unsafe-fixes" if hints else _unsafe(fixes[False]))
    return f"Found {', '.join(parts)}." + (f" {', '.join(hints)}." if hints else "") + "\n"


def _unsafe(count: int) -> str:
    return f"{count} fixable with --fix --unsafe-fixes"


def _counted(count: int, severity: str) -> str:
    if severity == "information":
        return f"{count} information"
    return f"{count} {severity}{'' if count == 1 else 's'}"


def statistics(report: Report, output_format: str = "full") -> str:
    """How often each code was found, the most frequent first."""
    from turnlane import hazards

    counted = Counter(finding.code for finding in report.findings)
    fixable = {finding.code for finding in report.findings if finding.fix is not None and finding.fix.safe}
    rows = sorted(counted.items(), key=lambda row: (-row[1], row[0]))
    if output_format == "json":
        import json

        table = [
            {"code": code, "name": hazards.get(code).name, "count": count, "fixable": code in fixable}
            for code, count in rows
        ]
        return json.dumps(table, indent=2) + "\n"
    width = len(str(rows[0][1])) if rows else 0
    return "".join(
        f"{count:>{width}}  {code} {'[*]' if code in fixable else '[ ]'} {hazards.get(code).name}\n"
        for code, count in rows
    )


def notes_text(notes: Iterable[Note], *, verbose: bool) -> str:
    """What was not seen, a line each; what is the same in many places in one line, unless `verbose`."""
    by_text: dict[str, list[Note]] = {}
    for note in notes:
        by_text.setdefault(note.text, []).append(note)
    lines = []
    for text, alike in by_text.items():
        told = alike if verbose or len(alike) <= FEW_NOTES else alike[:1]
        lines += [f"note: {_place(note)}{text}\n" for note in told]
        if len(told) < len(alike):
            lines.append(f"note: the same in {len(alike) - len(told)} more places; --verbose lists them\n")
    return "".join(lines)


def _place(note: Note) -> str:
    if not note.path:
        return ""
    return f"{note.path}:{note.line}: " if note.line else f"{note.path}: "


def fixed_text(fixed: Iterable[Finding], *, would: bool = False) -> str:
    """What was fixed (`would`: what would be), a line for each file."""
    by_file: dict[str, Counter[str]] = {}
    for finding in fixed:
        by_file.setdefault(finding.place.path, Counter())[finding.code] += 1
    verb = "Would fix" if would else "Fixed"
    return "".join(
        f"{verb} {path}: {', '.join(f'{count} x {code}' for code, count in sorted(counted.items()))}\n"
        for path, counted in sorted(by_file.items())
    )


def skipped_text(skipped: Iterable[Skipped]) -> str:
    """Which fixes were not applied, and why."""
    return "".join(
        f"Not fixed: {skip.finding.place.path}:{skip.finding.place.line} {skip.finding.code}: {skip.reason}\n"
        for skip in skipped
    )
