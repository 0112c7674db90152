"""For programs: a list of objects as `ruff check --output-format json` writes them, and a little more."""

from __future__ import annotations

import json
import os
from typing import Any

from turnlane.checker.finding import Finding, Fix, Place, Step
from turnlane.checker.reports import Report
from turnlane.checker.reports.position import file_line, position
from turnlane.checker.texts import Texts


def render(report: Report) -> str:
    """A JSON array."""
    return json.dumps([_finding(finding, report.texts) for finding in report.findings], indent=2) + "\n"


def _finding(finding: Finding, texts: Texts) -> dict[str, Any]:
    from turnlane import hazards

    hazard = hazards.get(finding.code)
    where = position(finding.place, texts)
    return {
        "cell": where.cell,
        "code": finding.code,
        "name": hazard.name,
        "severity": finding.severity,
        "message": finding.message,
        "help": finding.help or hazard.help,
        "filename": os.path.abspath(finding.place.path),
        **_span(finding.place, texts),
        "file_location": {"row": file_line(finding.place, texts)},
        "noqa_row": where.line,
        "trace": [_step(step, texts) for step in finding.trace],
        "fix": None if finding.fix is None else _fix(finding.fix, texts),
        "url": hazard.url,
    }


def _span(place: Place, texts: Texts) -> dict[str, Any]:
    where = position(place, texts)
    return {
        "location": {"row": where.line, "column": where.column},
        "end_location": {"row": where.end_line, "column": where.end_column},
    }


def _step(step: Step, texts: Texts) -> dict[str, Any]:
    return {
        "message": step.text,
        "filename": os.path.abspath(step.place.path),
        "cell": position(step.place, texts).cell,
        **_span(step.place, texts),
    }


def _fix(fix: Fix, texts: Texts) -> dict[str, Any]:
    return {
        "message": fix.title,
        "applicability": "safe" if fix.safe else "unsafe",
        "edits": [
            {
                "content": edit.text,
                "filename": os.path.abspath(edit.place.path),
                "cell": position(edit.place, texts).cell,
                **_span(edit.place, texts),
            }
            for edit in fix.edits
        ],
    }
