"""Applies the fixes of findings to the texts of files. What comes out parses as well as what went in.

Fixes that touch each other are not mixed: the first by place wins, and the next run offers the other again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from turnlane.checker import notebook, parsing
from turnlane.checker.finding import Edit, Finding, Fix
from turnlane.checker.ipython import as_python
from turnlane.checker.notebook import Notebook
from turnlane.checker.source import Source, Unreadable


class Skipped(NamedTuple):
    """A finding whose fix was not applied."""

    finding: Finding
    reason: str
    """One clause, such as "the result would not parse"."""


class Fixed(NamedTuple):
    """What fixing came to."""

    texts: dict[str, str]
    """The new text of each file that changed, by path; of a notebook the whole `.ipynb`."""
    fixed: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    """The findings that have a fix which was not applied."""


def apply(sources: Mapping[str, str], findings: Iterable[Finding], *, unsafe: bool) -> Fixed:
    """Apply as many fixes as go together; each wholly or not at all, also one that edits several files.

    Args:
        sources: the texts of the files by path, as `decode` gives them; of a notebook the whole `.ipynb`.
        findings: with places in `sources`; in a notebook, places of the joined program.
        unsafe: also apply the fixes that are not safe.
    """
    wanted = sorted((finding for finding in findings if finding.fix is not None), key=lambda f: (f.place, f.code))
    documents = _Documents(sources)
    # One check of each file is enough nearly always; one check after each fix finds those that break.
    for careful in (False, True):
        texts, fixed, skipped = _applied(documents, wanted, unsafe, careful)
        if texts is not None:
            break
    changed = {path: text for path, text in (texts or {}).items() if text != sources[path]}
    return Fixed(changed, tuple(fixed), tuple(skipped))


def files(findings: Iterable[Finding]) -> set[str]:
    """The paths of all files that the fixes of `findings` edit: what `apply` needs the texts of."""
    return {edit.place.path for finding in findings if finding.fix for edit in finding.fix.edits}


class _Span(NamedTuple):
    """An edit as offsets in characters."""

    start: int
    end: int
    text: str

    def touches(self, other: _Span) -> bool:
        return self != other and self.start <= other.end and other.start <= self.end


class _Refused(Exception):
    """The edits can't be applied; the message is the reason."""


def _applied(
    documents: _Documents, wanted: list[Finding], unsafe: bool, careful: bool
) -> tuple[dict[str, str] | None, list[Finding], list[Skipped]]:
    """New texts, what was fixed and what was skipped; no texts where some file would not parse any more."""
    chosen: dict[str, list[_Span]] = {}
    fixed: list[Finding] = []
    skipped: list[Skipped] = []
    for finding in wanted:
        assert finding.fix is not None
        try:
            if not finding.fix.safe and not unsafe:
                raise _Refused("it is an unsafe fix")
            more = _together(chosen, documents.spans(finding.fix))
            if careful:
                documents.edited({path: more[path] for path in documents.spans(finding.fix)})
        except _Refused as refused:
            skipped.append(Skipped(finding, str(refused)))
        else:
            chosen = more
            fixed.append(finding)
    try:
        return documents.edited(chosen), fixed, skipped
    except _Refused:
        return None, [], []


def _together(chosen: Mapping[str, list[_Span]], more: Mapping[str, list[_Span]]) -> dict[str, list[_Span]]:
    """The edits of several fixes. An edit that two fixes share, such as an import, is made once."""
    both = dict(chosen)
    for path, spans in more.items():
        before = chosen.get(path, [])
        if any(span.touches(other) for span in spans for other in before):
            raise _Refused("it touches another fix; run again")
        both[path] = before + [span for span in spans if span not in before]
    return both


class _Documents:
    """The files as they are edited."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._known: dict[str, _Text | _Cells] = {}
        self._broken: set[str] = set()

    def __getitem__(self, path: str) -> _Text | _Cells:
        if path not in self._known:
            if path not in self._sources:
                raise _Refused(f"{path} was not read")
            make = _Cells if path.lower().endswith(".ipynb") else _Text
            self._known[path] = make(path, self._sources[path])
        return self._known[path]

    def spans(self, fix: Fix) -> dict[str, list[_Span]]:
        """The edits of one fix by path."""
        spans: dict[str, list[_Span]] = {}
        for edit in fix.edits:
            spans.setdefault(edit.place.path, []).append(self[edit.place.path].span(edit))
        return spans

    def edited(self, chosen: Mapping[str, list[_Span]]) -> dict[str, str]:
        return {path: self[path].edited(spans) for path, spans in chosen.items()}


class _Text:
    """A file that is one text."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.source = Source(path, text)
        self._problems: int | None = None

    def span(self, edit: Edit) -> _Span:
        """The edit as offsets, with the line ends of the file."""
        place = edit.place
        start = self.source.offset(place.line, place.column)
        end = self.source.offset(place.end_line, place.end_column)
        if not 0 <= start <= end:
            raise _Refused("its edit ends before it starts")
        return _Span(start, end, _with_line_ends(edit.text, self.source.text))

    def edited(self, spans: Iterable[_Span]) -> str:
        if self._problems is None:
            self._problems = parsing.problems(self.path, self.source.text)
        text = _spliced(self.source.text, spans)
        _compare(self._problems, parsing.problems(self.path, text))
        return text


class _Cells:
    """A notebook: edits are of the joined program and change the sources of cells."""

    def __init__(self, path: str, text: str) -> None:
        try:
            self.notebook: Notebook = notebook.read(text)
        except Unreadable as error:
            raise _Refused(str(error)) from None
        self.source = Source(path, self.notebook.program)
        self.written = "".join(self._ended(source) for source in self.notebook.sources)
        cells = self.notebook.cells
        self._starts = [self.source.offset(cell.first_line, 0) for cell in cells] + [len(self.source.text)]

    def span(self, edit: Edit) -> _Span:
        place = edit.place
        start = self.source.offset(place.line, place.column)
        end = self.source.offset(place.end_line, place.end_column)
        if not 0 <= start <= end:
            raise _Refused("its edit ends before it starts")
        if self.source.text[start:end] != self.written[start:end]:
            raise _Refused("it would rewrite a magic")
        index = self._cell(start)
        if end > self._starts[index + 1]:
            raise _Refused("it would rewrite two cells at once")
        return _Span(start, end, _with_line_ends(edit.text, self.notebook.sources[index]))

    def edited(self, spans: Iterable[_Span]) -> str:
        new: dict[int, str] = {}
        for index, inside in self._by_cell(spans).items():
            before = self.notebook.sources[index]
            after = _spliced(self._ended(before), inside)
            if not before.endswith(("\n", "\r")):
                after = re.sub(r"(\r\n|\r|\n)\Z", "", after)
            _compare(_cell_problems(before), _cell_problems(after))
            new[self.notebook.cells[index].number] = after
        return notebook.with_edits(self.notebook.text, new)

    def _by_cell(self, spans: Iterable[_Span]) -> dict[int, list[_Span]]:
        """The edits by index of their cell, as offsets in it."""
        inside: dict[int, list[_Span]] = {}
        for span in spans:
            index = self._cell(span.start)
            offset = self._starts[index]
            inside.setdefault(index, []).append(_Span(span.start - offset, span.end - offset, span.text))
        return inside

    def _cell(self, offset: int) -> int:
        last = len(self._starts) - 2
        return next((index for index in range(last) if offset < self._starts[index + 1]), last)

    def _ended(self, source: str) -> str:
        """The source with the line end that the program adds."""
        return source if source.endswith(("\n", "\r")) else source + "\n"


def _cell_problems(source: str) -> int:
    readable = source.encode("utf-8", "replace").decode()
    return parsing.python_problems(as_python(readable), top_level_await=True)


def _compare(before: int, after: int) -> None:
    if before == parsing.BROKEN:
        raise _Refused("the file does not parse as it is")
    if after > before:
        raise _Refused("the result would not parse")


def _spliced(text: str, spans: Iterable[_Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start < at:
            raise _Refused("its edits overlap")
        parts += [text[at : span.start], span.text]
        at = span.end
    return "".join(parts) + text[at:]


def _with_line_ends(text: str, like: str) -> str:
    """`text` with the line ends that the first line of `like` has."""
    end = next(_line_ends(like), "\n")
    return text if end == "\n" else re.sub(r"\r\n|\r|\n", end, text)


def _line_ends(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"\r\n|\r|\n", text))
