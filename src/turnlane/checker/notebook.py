"""Notebooks: the code cells of an `.ipynb` as one Python program, and edits of it written back to the file.

Findings and fixes name lines of the joined program. An edit replaces the raw text of one cell's `source` value;
everything else of the file, outputs and metadata included, stays byte for byte.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from turnlane.checker.ipython import as_python, blank
from turnlane.checker.json_spans import Value, items, member, skip
from turnlane.checker.python.facts import Cell
from turnlane.checker.source import Unreadable

_LINE_END = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NON_ASCII_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")
_OTHER_KERNELS = re.compile(
    r"(?i)ir$|julia|scala|javascript|typescript|deno|bash|\.net|rust|gopher|tslab|jslab|java$"
)


class Notebook(NamedTuple):
    """The code cells of one notebook, in order."""

    text: str
    """Of the file."""
    program: str
    """The sources of all code cells as Python, each ending in a line end: what the checker reads."""
    sources: tuple[str, ...]
    """Of each code cell as its author wrote it, magics included; as long as the cell's part of the program."""
    cells: tuple[Cell, ...]

    def cell_at(self, line: int) -> tuple[Cell, int]:
        """The cell that a line of the program stands in, and the line's number there, from 1.

        Raises:
            IndexError: the notebook has no code cell.
        """
        index = bisect.bisect_right(self.cells, line, key=lambda cell: cell.first_line) - 1
        cell = self.cells[max(index, 0)]
        return cell, line - cell.first_line + 1

    def file_lines(self) -> list[int]:
        """For each line of the program, from its first: the line of the `.ipynb` file that holds it, from 1."""
        starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        lines: list[int] = []
        for cell, (_, source) in zip(self.cells, _sources(self.text), strict=True):
            offsets = _line_offsets(self.text, source)
            offsets += [offsets[-1]] * (cell.lines - len(offsets))
            lines += [bisect.bisect_right(starts, offset) for offset in offsets[: cell.lines]]
        return lines

    def source(self, cell: Cell) -> str:
        """The source of `cell` as its author wrote it."""
        return self.sources[self.cells.index(cell)]


def read(text: str) -> Notebook:
    """The notebook in `text`, an `.ipynb` file of nbformat 3 or later.

    Raises:
        Unreadable: it is no notebook, or one in another language than Python. One clear sentence.
    """
    document = _document(text)
    if (language := _language(document)) is not None:
        raise Unreadable(f"it is a notebook in {language}, and only Python notebooks are checked")
    programs: list[str] = []
    sources: list[str] = []
    cells: list[Cell] = []
    line = 1
    for number, cell, key in _code_cells(document):
        source = _joined(cell[key])
        readable = _SURROGATE.sub("\ufffd", source)  # Python's parser takes no lone surrogates
        python = as_python(readable) if _is_python(cell) else blank(readable)
        if not python.endswith(("\n", "\r")):
            python += "\n"
        lines = len(_LINE_END.findall(python))
        cells.append(Cell(number, line, lines))
        sources.append(source)
        programs.append(python)
        line += lines
    return Notebook(text, "".join(programs), tuple(sources), tuple(cells))


def with_edits(text: str, sources: Mapping[int, str]) -> str:
    """The notebook file `text` with the source of some cells replaced; the rest stays byte for byte.

    `sources` has the new source by cell number (from 1, counting all cells, as `Cell.number`). A list of lines
    stays a list of lines, one string stays one string, and lines that do not change keep their spelling.
    """
    keep_ascii = text.isascii() and bool(_NON_ASCII_ESCAPE.search(text))
    parts: list[str] = []
    at = 0
    for number, source in _sources(text):
        if (new := sources.get(number)) is None or new == _joined(source.data):
            continue
        parts += [text[at : source.start], _written(text, source, new, keep_ascii)]
        at = source.end
    return "".join(parts) + text[at:]


def _document(text: str) -> dict[str, Any]:
    if not text.strip("\ufeff \t\r\n"):
        raise Unreadable("it is empty")
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise Unreadable("it is nested too deeply for a notebook") from None
    except ValueError as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Unreadable(f"it is not JSON{where}: {reason[:1].lower()}{reason[1:]}") from None
    if not isinstance(document, dict) or not any(
        isinstance(document.get(key), list) for key in ("cells", "worksheets")
    ):
        raise Unreadable('it is JSON, but no notebook: it has no list of "cells"')
    return document


def _language(document: dict[str, Any]) -> str | None:
    """The language of the notebook when it is not Python."""
    metadata = _mapping(document.get("metadata"))
    kernel = _mapping(metadata.get("kernelspec"))
    language = _mapping(metadata.get("language_info")).get("name") or kernel.get("language")
    if isinstance(language, str) and language:
        return None if "python" in language.lower() else language
    name = kernel.get("name")
    return name if isinstance(name, str) and _OTHER_KERNELS.match(name) else None


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _code_cells(document: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Number (from 1, among all cells) and data of each code cell, and the key that its source has."""
    sheets = [document, *(sheet for sheet in _list(document.get("worksheets")) if isinstance(sheet, dict))]
    cells = [cell for sheet in sheets for cell in _list(sheet.get("cells"))]
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            key = next((key for key in ("source", "input") if _is_source(cell.get(key))), None)
            if key is not None:
                yield number, cell, key


def _is_source(data: Any) -> bool:
    return isinstance(data, str) or (isinstance(data, list) and all(isinstance(line, str) for line in data))


def _list(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []


def _sources(text: str) -> Iterator[tuple[int, Value]]:
    """Number and source of each code cell, as `_code_cells` counts them, with the span in the file `text`."""
    spans = list(_cell_spans(text))
    for number, _, key in _code_cells(_document(text)):
        source = member(text, spans[number - 1].start, key)
        if source is not None:
            yield number, source


def _cell_spans(text: str) -> Iterator[Value]:
    """The cells of nbformat 4, or those of each worksheet of nbformat 3."""
    start = skip(text, text.startswith("\ufeff"))
    for sheet in (start, *_worksheets(text, start)):
        cells = member(text, sheet, "cells")
        if cells is not None and isinstance(cells.data, list):
            yield from items(text, cells.start)


def _worksheets(text: str, start: int) -> Iterable[int]:
    sheets = member(text, start, "worksheets")
    if sheets is None or not isinstance(sheets.data, list):
        return ()
    return [sheet.start for sheet in items(text, sheets.start) if isinstance(sheet.data, dict)]


def _is_python(cell: dict[str, Any]) -> bool:
    """Whether a code cell of a Python notebook is Python: editors keep another language with the cell."""
    editor = _mapping(_mapping(cell.get("metadata")).get("vscode"))
    language = editor.get("languageId") or cell.get("language") or "python"
    return "python" in str(language).lower()


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _line_offsets(text: str, source: Value) -> list[int]:
    """Where each line of a source stands in the file; lines of one string all stand where it does."""
    if isinstance(source.data, str):
        return [source.start] * (len(_LINE_END.findall(source.data)) + 1)
    offsets: list[int] = []
    starts_line = True
    for item in items(text, source.start):
        ends = len(_LINE_END.findall(item.data))
        offsets += [item.start] * (ends + starts_line - (ends > 0 and item.data.endswith(("\n", "\r"))))
        starts_line = item.data.endswith(("\n", "\r"))
    return offsets or [source.start]


def _written(text: str, source: Value, new: str, keep_ascii: bool) -> str:
    """The JSON of a source with the text `new`, in the form that `source` has."""
    if isinstance(source.data, str):
        return _dumped(new, keep_ascii)
    old = list(items(text, source.start))
    if not old:
        return "[" + ", ".join(_dumped(line, keep_ascii) for line in _lines(new)) + "]"
    spelling = {item.data: text[item.start : item.end] for item in old}
    lines = [spelling.get(line) or _dumped(line, keep_ascii) for line in _lines(new)]
    before, after = text[source.start : old[0].start], text[old[-1].end : source.end]
    between = text[old[0].end : old[1].start] if len(old) > 1 else "," + (before[1:] or " ")
    return before + between.join(lines) + after if lines else "[]"


def _lines(text: str) -> list[str]:
    """The lines of `text` with their ends."""
    return [line for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if line]


def _dumped(text: str, keep_ascii: bool) -> str:
    written = json.dumps(text, ensure_ascii=keep_ascii)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", written)
