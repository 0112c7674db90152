"""SARIF 2.1.0, as code scanning services read it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from turnlane import __version__
from turnlane.checker.finding import Edit, Finding, Note, Place, Step
from turnlane.checker.reports import Report
from turnlane.checker.reports.position import file_line, position, shown_line
from turnlane.checker.texts import Texts

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

LEVELS: Final = {"error": "error", "warning": "warning", "information": "note"}


def render(report: Report) -> str:
    """One log with one run."""
    codes = sorted({finding.code for finding in report.findings})
    run = {
        "tool": {"driver": {"name": "turnlane", "version": __version__, "rules": [_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report.notes)],
        "results": [_result(finding, codes, report.texts) for finding in report.findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str) -> dict[str, Any]:
    from turnlane import hazards

    hazard = hazards.get(code)
    return {
        "id": code,
        "name": hazard.name,
        "shortDescription": {"text": hazard.summary},
        "fullDescription": {"text": f"{hazard.summary} {hazard.help}"},
        "help": {"text": hazard.help, "markdown": hazard.page()},
        "properties": {"tags": [hazard.family], "silent": hazard.silent},
    }


def _invocation(notes: Sequence[Note]) -> dict[str, Any]:
    """What was not seen belongs to the run, not to the results."""
    said = [_notification(note) for note in notes]
    whole = not any(note.broken for note in notes)
    return {"executionSuccessful": whole, **({"toolExecutionNotifications": said} if said else {})}


def _notification(note: Note) -> dict[str, Any]:
    said: dict[str, Any] = {"level": "error" if note.broken else "note", "message": {"text": note.text}}
    if note.path:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(note.path)}}
        if note.line and not note.path.endswith(".ipynb"):
            physical["region"] = {"startLine": note.line}
        said["locations"] = [{"physicalLocation": physical}]
    return said


def _result(finding: Finding, codes: Sequence[str], texts: Texts) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. {finding.help}".strip()},
        "locations": [_location(finding.place, texts)],
        "partialFingerprints": {"turnlane/v1": _fingerprint(finding, texts)},
    }
    if finding.trace:
        flow = [{"location": _location(step.place, texts, step)} for step in finding.trace]
        result["codeFlows"] = [{"threadFlows": [{"locations": flow}]}]
    notebook = any(edit.place.path.endswith(".ipynb") for edit in finding.fix.edits) if finding.fix else True
    if finding.fix is not None and not notebook:  # SARIF knows no cells
        result["fixes"] = [_fix(finding.fix.title, finding.fix.edits, texts)]
    return result


def _fingerprint(finding: Finding, texts: Texts) -> str:
    text = f"{finding.code} {finding.place.path} {shown_line(finding.place, texts).strip()}"
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _location(place: Place, texts: Texts, step: Step | None = None) -> dict[str, Any]:
    physical = {"artifactLocation": {"uri": _uri(place.path)}, "region": _region(place, texts)}
    location: dict[str, Any] = {"physicalLocation": physical}
    cell = position(place, texts).cell
    said = [step.text] if step is not None else []
    if cell is not None:
        said.append(f"cell {cell}, line {position(place, texts).line}")
    return location | ({"message": {"text": ", ".join(said)}} if said else {})


def _region(place: Place, texts: Texts) -> dict[str, Any]:
    where = position(place, texts)
    if where.cell is not None:
        return {"startLine": file_line(place, texts)}
    return {
        "startLine": where.line,
        "startColumn": where.column,
        "endLine": where.end_line,
        "endColumn": where.end_column,
    }


def _fix(title: str, edits: Sequence[Edit], texts: Texts) -> dict[str, Any]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for edit in edits:
        replacement = {"deletedRegion": _region(edit.place, texts), "insertedContent": {"text": edit.text}}
        by_file.setdefault(edit.place.path, []).append(replacement)
    changes = [
        {"artifactLocation": {"uri": _uri(path)}, "replacements": replacements}
        for path, replacements in by_file.items()
    ]
    return {"description": {"text": title}, "artifactChanges": changes}


def _uri(path: str) -> str:
    """Relative to where the check was started, which CI takes for the root; absolute for files elsewhere."""
    encoded = quote(path.encode(errors="surrogateescape"))
    return f"file://{encoded}" if os.path.isabs(path) else encoded
