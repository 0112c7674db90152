"""One line for each finding: `path:line:column: CODE severity: message`."""

from __future__ import annotations

from turnlane.checker.finding import Finding
from turnlane.checker.reports import Report
from turnlane.checker.reports.position import position
from turnlane.checker.reports.style import SEVERITY_COLORS, Style, printable


def render(report: Report) -> str:
    """The findings, without their lines."""
    return "".join(f"{headline(finding, report)}\n" for finding in report.findings)


def headline(finding: Finding, report: Report) -> str:
    """The line that says where, which code, how severe, and what. `[*]`: `--fix` repairs it."""
    style = Style(report.colored)
    where = style(printable(str(position(finding.place, report.texts))), "bold")
    code = style(finding.code, SEVERITY_COLORS[finding.severity])
    return f"{where}: {code}{_fixable(finding)} {finding.severity}: {printable(finding.message)}"


def _fixable(finding: Finding) -> str:
    return " [*]" if finding.fix is not None and finding.fix.safe else ""
