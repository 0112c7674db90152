"""Comments that silence findings: `turnlane: ignore[TL201] reason`, `turnlane: ignore-file[TL113]`, `noqa: TL201`.

One that silences nothing is a finding itself (TL001), and so is one that names no code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from turnlane.checker.comments import Comment, comments
from turnlane.checker.finding import Edit, Finding, Fix, Place
from turnlane.checker.settings import Settings
from turnlane.checker.source import Source
from turnlane.checker.texts import Texts

UNUSED = "TL001"

_DIRECTIVE = re.compile(r"(?:#|//|/\*|\*)\s*turnlane:\s*ignore(?P<file>-file)?\b\s*(?:\[(?P<codes>[^\]]*)\])?")
_NOQA = re.compile(r"#\s*noqa\b(?P<colon>\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?)?", re.IGNORECASE)


class _Code(NamedTuple):
    """One code of a comment."""

    prefix: str
    start: int
    """In characters, in the comment."""

    @property
    def end(self) -> int:
        return self.start + len(self.prefix)


class _Directive(NamedTuple):
    """What one comment silences."""

    comment: Comment
    start: int
    """Where it begins in the comment, in characters."""
    end: int
    """Where it ends, its reason included."""
    whole_file: bool
    codes: tuple[_Code, ...]

    def speaks_of(self, finding: Finding) -> bool:
        """Whether it stands where it can silence the finding."""
        if self.whole_file:
            return True
        comment, place = self.comment, finding.place
        if place.line <= comment.line <= place.end_line:
            return True
        at_an_end = comment.alone or comment.line in (comment.first_line, comment.last_line)
        return at_an_end and comment.first_line <= place.line <= comment.last_line


def apply(
    found: Iterable[Finding], marked: Collection[str], texts: Texts, settings: Settings, partly: Collection[str]
) -> list[Finding]:
    """The findings that no comment silences, and what is wrong with such comments.

    Args:
        found: all findings.
        marked: the files with a comment of ours.
        partly: files that were checked without the project around them: what a comment there is for may not
            show.
    """
    by_file: dict[str, list[Finding]] = {path: [] for path in sorted(marked)}
    for finding in found:
        by_file.setdefault(finding.place.path, []).append(finding)
    kept: list[Finding] = []
    for path, findings in by_file.items():
        source = texts[path]
        if "turnlane:" not in source.text and "noqa" not in source.text.lower():
            kept += findings
            continue
        kept += _of_file(findings, source, settings, path in partly)
    return kept


def _of_file(findings: list[Finding], source: Source, settings: Settings, partly: bool) -> list[Finding]:
    listed = [comment for comment in comments(source.path, source.text) if _may_silence(comment)]
    directives = [directive for comment in listed for directive in _directives(comment)]
    used: set[tuple[int, int, int]] = set()
    kept = []
    for finding in findings:
        silenced_by = [
            (directive.comment.line, directive.comment.column, code.start)
            for directive in directives
            for code in directive.codes
            if finding.code.startswith(code.prefix) and directive.speaks_of(finding)
        ]
        used.update(silenced_by)
        if not silenced_by and not any(_noqa(comment, finding) for comment in listed):
            kept.append(finding)
    if settings.reports(UNUSED):
        kept += _wrong(directives, used, source, settings, partly)
    return kept


def _may_silence(comment: Comment) -> bool:
    return "turnlane:" in comment.text or "noqa" in comment.text.lower()


def _directives(comment: Comment) -> Iterator[_Directive]:
    for match in _DIRECTIVE.finditer(comment.text):
        codes = re.finditer(r"[^,\s]+", match["codes"] or "")
        after = re.compile(r"\s*#").search(comment.text, match.end())
        yield _Directive(
            comment,
            match.start(),
            after.start() if after else len(comment.text),
            bool(match["file"]),
            tuple(_Code(code[0].upper(), match.start("codes") + code.start()) for code in codes),
        )


def _noqa(comment: Comment, finding: Finding) -> bool:
    """Whether a comment in the way of flake8 and ruff silences the finding."""
    match = _NOQA.search(comment.text)
    if match is None or comment.alone or not _Directive(comment, 0, 0, False, ()).speaks_of(finding):
        return False
    if not match["colon"]:
        return True
    return finding.code in re.split(r"[,\s]+", (match["codes"] or "").upper())


# --- what is wrong with the comments ---


def _wrong(
    directives: list[_Directive], used: set[tuple[int, int, int]], source: Source, settings: Settings, partly: bool
) -> Iterator[Finding]:
    for directive in directives:
        if not directive.codes:
            yield _nameless(directive, source)
            continue
        comment = directive.comment
        unused = [code for code in directive.codes if (comment.line, comment.column, code.start) not in used]
        told = [code for code in unused if not _known(code) or (not partly and _selected(code, settings))]
        for code in told:
            yield _unused(directive, code, told, source)


def _known(code: _Code) -> bool:
    from turnlane import hazards

    return any(known.startswith(code.prefix) for known in hazards.codes())


def _selected(code: _Code, settings: Settings) -> bool:
    """Whether every finding that the code could silence is looked for, apart from what nobody asked for."""
    from turnlane import hazards
    from turnlane.checker.rules import all_rules

    waiting = {rule.code for rule in all_rules() if not rule.by_default}
    meant = [known for known in hazards.codes() if known.startswith(code.prefix)]
    looked_for = [known for known in meant if known not in waiting or settings.reports_by(known, by_default=False)]
    return bool(looked_for) and all(settings.reports(known) for known in looked_for)


def _nameless(directive: _Directive, source: Source) -> Finding:
    word = "ignore-file" if directive.whole_file else "ignore"
    return Finding(
        UNUSED,
        _place(source, directive.comment, directive.start, directive.end),
        f"`turnlane: {word}` names no code, so it silences nothing",
        "warning",
        f"name what is silenced: `turnlane: {word}[TL201] reason`",
    )


def _unused(directive: _Directive, code: _Code, told: list[_Code], source: Source) -> Finding:
    what = "nothing here has this code" if _known(code) else "there is no such code"
    return Finding(
        UNUSED,
        _place(source, directive.comment, code.start, code.end),
        f"`{code.prefix}` silences nothing: {what}",
        "warning",
        "remove it",
        fix=_removal(directive, code, told, source),
    )


def _removal(directive: _Directive, code: _Code, told: list[_Code], source: Source) -> Fix | None:
    """Remove the code; with the last one, the comment. Findings of one comment share one fix."""
    comment = directive.comment
    kept = [other for other in directive.codes if other not in told]
    if kept:
        first, last = directive.codes[0], directive.codes[-1]
        place = _place(source, comment, first.start, last.end)
        edit = Edit(place, ", ".join(other.prefix for other in kept))
        return Fix(f"Remove unused `{code.prefix}`", (edit,), True)
    if comment.text.startswith("/*") and not comment.text.strip("/* \t").startswith("turnlane:"):
        return None
    return Fix("Remove unused `turnlane: ignore`", (Edit(_whole(directive, source), ""),), True)


def _whole(directive: _Directive, source: Source) -> Place:
    """The comment, and the line if nothing else is on it."""
    comment = directive.comment
    everything = directive.start == 0 and directive.end == len(comment.text)
    alone = not source.line(comment.line)[: comment.column].strip()
    in_program = source.path.lower().endswith(".ipynb")
    if everything and alone and not in_program and comment.line < len(source.lines):
        return Place(source.path, comment.line, 0, comment.line + 1 + comment.text.count("\n"), 0)
    place = _place(source, comment, directive.start, directive.end)
    before = source.line(comment.line)[: comment.column + directive.start]
    return place._replace(column=len(before.rstrip().encode()))


def _place(source: Source, comment: Comment, start: int, end: int) -> Place:
    """A part of a comment as a place."""
    offset = source.starts[comment.line - 1] + comment.column
    line, column = source.position(offset + start)
    end_line, end_column = source.position(offset + end)
    return Place(source.path, line, column, end_line, end_column)
