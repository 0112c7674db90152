"""What the editor shows of findings, and the edits that it offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final
from urllib.parse import quote

from lsprotocol import types

from turnlane import hazards
from turnlane.checker import fixing, notebook
from turnlane.checker.comments import comments
from turnlane.checker.finding import Edit, Finding, Place, Severity
from turnlane.checker.lsp.documents import Locator
from turnlane.checker.lsp.workspace import Analysis
from turnlane.checker.source import Source

FIX_ALL: Final = "source.fixAll.turnlane"
_SEVERITIES: Final[dict[Severity, types.DiagnosticSeverity]] = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "information": types.DiagnosticSeverity.Information,
}
_COMMENTS: Final = {
    ".py": "#",
    ".ipynb": "#",
    ".toml": "#",
    ".yml": "#",
    ".yaml": "#",
    ".txt": "#",
    ".ts": "//",
    ".tsx": "//",
    ".mts": "//",
    ".cts": "//",
    ".js": "//",
    ".jsx": "//",
    ".mjs": "//",
    ".cjs": "//",
}


@cache
def _hazard(code: str) -> hazards.Hazard | None:
    try:
        return hazards.get(code)
    except hazards.UnknownHazard:
        return None


def page_uri(code: str) -> str | None:
    """The address of the hazard's page, a file of this installation."""
    hazard = _hazard(code)
    if hazard is None:
        return None
    folder = os.path.join(os.path.dirname(hazards.__file__), "pages")
    return "file://" + quote(os.path.join(folder, f"{code}-{hazard.name}.md").replace(os.sep, "/"))


def diagnostic(finding: Finding, locator: Locator) -> types.Diagnostic:
    """A finding as the editor shows it."""
    hazard = _hazard(finding.code)
    help_line = finding.help or (hazard.help if hazard else "")
    page = page_uri(finding.code)
    return types.Diagnostic(
        range=locator.location(finding.place).range,
        message=f"{finding.message}\n{help_line}".rstrip(),
        severity=_SEVERITIES[finding.severity],
        code=finding.code,
        code_description=types.CodeDescription(page) if page else None,
        source="turnlane",
        related_information=[
            types.DiagnosticRelatedInformation(locator.location(step.place), step.text) for step in finding.trace
        ]
        or None,
    )


def hover(findings: Sequence[Finding]) -> str:
    """What the editor shows over the place of findings, as markdown."""
    parts = []
    for code in dict.fromkeys(finding.code for finding in findings):
        hazard = _hazard(code)
        if hazard is not None:
            parts.append(f"**{hazard}** {hazard.summary}\n\n{hazard.help}\n\n[{code}]({page_uri(code)})")
    return "\n\n---\n\n".join(parts)


Edited = dict[str, list[types.TextEdit]]
"""Edits by address of the document."""


def fixes(findings: Iterable[Finding], analysis: Analysis, locator: Locator, *, unsafe: bool) -> Edited | None:
    """The edits of as many fixes as go together; None when there is nothing to edit."""
    wanted = list(findings)
    sources = {path: analysis.texts.raw(path) for path in fixing.files(wanted)}
    fixed = fixing.apply(sources, wanted, unsafe=unsafe)
    edited: Edited = {}
    for path, text in fixed.texts.items():
        if path.lower().endswith(".ipynb"):
            edited |= dict(_notebook_edits(path, sources[path], text, locator))
        else:
            own = [edit for finding in fixed.fixed if finding.fix for edit in finding.fix.edits]
            edits = dict.fromkeys(edit for edit in own if edit.place.path == path)
            edited[locator.uri(path)] = [_text_edit(edit, locator) for edit in edits]
    return edited or None


def _text_edit(edit: Edit, locator: Locator) -> types.TextEdit:
    return types.TextEdit(locator.location(edit.place).range, edit.text)


def _notebook_edits(
    path: str, before: str, after: str, locator: Locator
) -> Iterator[tuple[str, list[types.TextEdit]]]:
    """One edit for each cell that changes; for a notebook that is open as text, one of the text."""
    document = locator.document(path)
    if document is None or not document.cells:
        yield locator.uri(path), [_difference(before, after, path, locator)]
        return
    old, new = notebook.read(before), notebook.read(after)
    for cell, was, now in zip(old.cells, old.sources, new.sources, strict=True):
        if was != now:
            yield document.cells[cell.number][0], [_difference(was, now, path, locator)]


def _difference(before: str, after: str, path: str, locator: Locator) -> types.TextEdit:
    """The smallest edit that makes `after` of `before`."""
    start = _shared(before, after)
    end = _shared(before[start:][::-1], after[start:][::-1])
    source = Source(path, before)
    span = types.Range(locator.position(source, start), locator.position(source, len(before) - end))
    return types.TextEdit(span, after[start : len(after) - end])


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common; a CR and its LF stay together."""
    pairs = enumerate(zip(one, other, strict=False))
    length = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    return length - (one[length - 1 : length] in {"\r", "\n"} and length > 0)


def silencing(finding: Finding, analysis: Analysis, locator: Locator) -> Edited | None:
    """The edit that adds `turnlane: ignore[...]` to the line; None where a comment has no place."""
    place = finding.place
    mark = _COMMENTS.get(os.path.splitext(place.path.lower())[1])
    if os.path.basename(place.path).startswith(("Dockerfile", "Procfile")):
        mark = "#"
    notebook_as_text = analysis.texts.notebook(place.path) is not None and not getattr(
        locator.document(place.path), "cells", None
    )
    if mark is None or notebook_as_text:
        return None
    source = analysis.texts[place.path]
    for line in dict.fromkeys((place.line, place.end_line)):
        edit = _extended(source, line, finding.code) or _added(source, line, finding.code, mark)
        if edit is not None:
            location = locator.location(edit.place)
            return {location.uri: [types.TextEdit(location.range, edit.text)]}
    return None


def _extended(source: Source, line: int, code: str) -> Edit | None:
    """Name one more code in the comment that is there."""
    text = source.line(line)
    start = text.find("turnlane: ignore[")
    end = text.find("]", start)
    if start < 0 or end < 0 or not _is_comment(source, line, text):
        return None
    column = len(text[:end].encode())
    return Edit(Place(source.path, line, column, line, column), f", {code}")


def _added(source: Source, line: int, code: str, mark: str) -> Edit | None:
    text = source.line(line)
    comment = f"  {mark} turnlane: ignore[{code}]"
    if text.endswith("\\") or not _is_comment(source, line, text + comment):
        return None
    column = len(text.encode())
    return Edit(Place(source.path, line, column, line, column), comment)


def _is_comment(source: Source, line: int, text: str) -> bool:
    """Whether `text` in place of a line ends in a comment of ours, not in a string that spans lines."""
    lines = [*source.lines[: line - 1], text, *source.lines[line:]]
    found = comments(source.path, "\n".join(lines))
    return any(comment.line == line and "turnlane: ignore[" in comment.text for comment in found)


def wanted(only: Sequence[types.CodeActionKind | str] | None, kind: str) -> bool:
    """Whether the editor asks for actions of a kind; it may name a kind above it."""
    return not only or any(kind == str(_value(each)) or kind.startswith(f"{_value(each)}.") for each in only)


def _value(kind: types.CodeActionKind | str) -> str:
    return kind.value if isinstance(kind, types.CodeActionKind) else kind


def code_actions(
    here: Sequence[Finding],
    everywhere: Sequence[Finding],
    analysis: Analysis,
    locator: Locator,
    only: Sequence[types.CodeActionKind | str] | None,
    edit: Callable[[Edited], types.WorkspaceEdit],
) -> Iterator[types.CodeAction]:
    """The actions for the findings `here`, and the one that fixes what is safe `everywhere` in the document."""
    quick = types.CodeActionKind.QuickFix
    for finding in here if wanted(only, quick.value) else ():
        shown = [diagnostic(finding, locator)]
        fixed = fixes([finding], analysis, locator, unsafe=True) if finding.fix else None
        if finding.fix and fixed:
            title = finding.fix.title if finding.fix.safe else f"{finding.fix.title} (unsafe)"
            safe = finding.fix.safe
            yield types.CodeAction(f"{title} ({finding.code})", quick, shown, safe, edit=edit(fixed))
        silenced = silencing(finding, analysis, locator)
        if silenced:
            yield types.CodeAction(f"Ignore {finding.code} on this line", quick, shown, edit=edit(silenced))
    if wanted(only, FIX_ALL) and (fixed := fixes(everywhere, analysis, locator, unsafe=False)):
        yield types.CodeAction("Apply all safe fixes of turnlane", FIX_ALL, edit=edit(fixed))
