"""Workflow commands of GitHub Actions: findings stand beside the changed lines of a pull request."""

from __future__ import annotations

from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.reports import Report
from turnlane.checker.reports.position import file_line, position

_COMMANDS: Final = {"error": "error", "warning": "warning", "information": "notice"}


def render(report: Report) -> str:
    """One command a line."""
    return "".join(f"{_command(finding, report)}\n" for finding in report.findings)


def _command(finding: Finding, report: Report) -> str:
    where = position(finding.place, report.texts)
    properties = {"title": f"turnlane ({finding.code})", "file": where.path}
    if where.cell is None:
        properties |= {"line": str(where.line), "col": str(where.column), "endLine": str(where.end_line)}
        if where.end_line == where.line:  # GitHub refuses columns of a span over lines
            properties["endColumn"] = str(where.end_column)
        else:
            del properties["col"]
    else:
        properties["line"] = str(file_line(finding.place, report.texts))
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {listed}::{_data(f'{where}: {finding.code} {finding.message}')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
