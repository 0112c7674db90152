"""Where a finding stands, as people count: columns from 1 in characters; in a notebook, cell and line."""

from __future__ import annotations

from typing import NamedTuple

from turnlane.checker.finding import Place
from turnlane.checker.texts import Texts


class Position(NamedTuple):
    """A span as it is shown."""

    path: str
    cell: int | None
    """Of a notebook, from 1, counting all cells; None in other files."""
    line: int
    """From 1; in a notebook, in the cell."""
    column: int
    end_line: int
    end_column: int
    """The first column that is no longer part of it."""

    def __str__(self) -> str:
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.path}:{cell}{self.line}:{self.column}"


def position(place: Place, texts: Texts) -> Position:
    """The position of a place."""
    source = texts[place.path]
    column = source.characters(place.line, place.column) + 1
    end_column = source.characters(place.end_line, place.end_column) + 1
    notebook = texts.notebook(place.path)
    if notebook is None or not notebook.cells:
        return Position(place.path, None, place.line, column, place.end_line, end_column)
    cell, line = notebook.cell_at(place.line)
    return Position(place.path, cell.number, line, column, line + place.end_line - place.line, end_column)


def file_line(place: Place, texts: Texts) -> int:
    """The line of the file itself, as an editor of plain text shows it: of a notebook, that of its JSON."""
    notebook = texts.notebook(place.path)
    if notebook is None:
        return place.line
    lines = notebook.file_lines()
    return lines[place.line - 1] if place.line <= len(lines) else 1


def shown_line(place: Place, texts: Texts) -> str:
    """The first line of a place as its author wrote it, magics of a notebook included."""
    notebook = texts.notebook(place.path)
    if notebook is None or not notebook.cells:
        return texts[place.path].line(place.line)
    cell, line = notebook.cell_at(place.line)
    lines = notebook.source(cell).splitlines()
    return lines[line - 1] if line <= len(lines) else ""
