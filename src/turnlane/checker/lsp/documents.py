"""The documents that are open in the editor, and where a place of a finding is in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

from lsprotocol import types
from pygls import uris
from pygls.workspace import PositionCodec, Workspace

from turnlane.checker.finding import Place
from turnlane.checker.lsp.workspace import Analysis
from turnlane.checker.notebook import Notebook
from turnlane.checker.source import Source, encode


class Document(NamedTuple):
    """An open document, as it was when it was looked at."""

    uri: str
    version: int | None
    data: bytes
    """What a file with this content would hold; of a notebook, its JSON."""
    cells: Mapping[int, tuple[str, int | None]] = {}
    """Address and version of each code cell by number, when the editor opened the file as a notebook."""


def open_documents(workspace: Workspace) -> dict[str, Document]:
    """All open documents that are files, by absolute path."""
    found: dict[str, Document] = {}
    in_notebooks: set[str] = set()
    for notebook in workspace.notebook_documents.values():
        in_notebooks.update(cell.document for cell in notebook.cells)
        path = path_of(notebook.uri)
        if path is not None:
            found[path] = _notebook(workspace, notebook)
    for document in workspace.text_documents.values():
        path = path_of(document.uri)
        if path is not None and document.uri not in in_notebooks and path not in found:
            found[path] = Document(document.uri, document.version, _data(document.source))
    return found


def path_of(uri: str) -> str | None:
    """The absolute path of a file's address; None when it is no file."""
    if not uri.startswith("file:"):
        return None
    path = uris.to_fs_path(uri)
    return os.path.normpath(path) if path else None


def _data(text: str) -> bytes:
    plain = text.encode("utf-8", "surrogatepass")
    try:
        return encode(text, plain)
    except (UnicodeError, LookupError):
        return plain


def _notebook(workspace: Workspace, notebook: types.NotebookDocument) -> Document:
    cells = []
    places: dict[int, tuple[str, int | None]] = {}
    for number, cell in enumerate(notebook.cells, 1):
        document = workspace.get_text_document(cell.document)
        is_code = cell.kind == types.NotebookCellKind.Code
        cells.append(
            {
                "cell_type": "code" if is_code else "markdown",
                "metadata": {"vscode": {"languageId": document.language_id}} if is_code else {},
                "source": document.source,
            }
        )
        if is_code:
            places[number] = (cell.document, document.version)
    data = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
    return Document(notebook.uri, notebook.version, data, places)


class Locator:
    """Turns places of an analysis into what the editor counts."""

    def __init__(self, analysis: Analysis, documents: Mapping[str, Document], codec: PositionCodec) -> None:
        self._analysis = analysis
        self._documents = documents
        self._codec = codec

    def location(self, place: Place) -> types.Location:
        """Address and range of a place: in a notebook, of the cell; in one opened as text, a line of the file."""
        notebook = self._analysis.texts.notebook(place.path)
        if notebook is None:
            return types.Location(self.uri(place.path), self._range(self._analysis.texts[place.path], place))
        document = self.document(place.path)
        if document is None or not document.cells:
            return self._in_json(notebook, place)
        cell, line = notebook.cell_at(place.line)
        source = Source(place.path, notebook.source(cell))
        end_line = place.end_line - cell.first_line + 1
        inside = place._replace(line=line, end_line=end_line)
        if end_line > cell.lines:
            inside = inside._replace(end_line=cell.lines, end_column=len(source.line(cell.lines).encode()))
        return types.Location(document.cells[cell.number][0], self._range(source, inside))

    def document(self, name: str) -> Document | None:
        """The open document of a file that a place names."""
        return self._documents.get(self._analysis.path(name))

    def uri(self, name: str) -> str:
        """The address of the file, as the editor spells it when it is open."""
        document = self.document(name)
        return document.uri if document else uris.from_fs_path(self._analysis.path(name)) or ""

    def position(self, source: Source, offset: int) -> types.Position:
        """The editor's position of an offset in characters."""
        line, column = source.position(offset)
        return self._position(source, line, column)

    def _range(self, source: Source, place: Place) -> types.Range:
        return types.Range(
            self._position(source, place.line, place.column),
            self._position(source, place.end_line, place.end_column),
        )

    def _position(self, source: Source, line: int, column: int) -> types.Position:
        before = source.line(line)[: source.characters(line, column)]
        return types.Position(max(line - 1, 0), self._codec.client_num_units(before))

    def _in_json(self, notebook: Notebook, place: Place) -> types.Location:
        lines = notebook.file_lines()
        number = lines[min(place.line, len(lines)) - 1] if lines else 1
        text = Source(place.path, notebook.text).line(number)
        start = len(text) - len(text.lstrip())
        return types.Location(
            self.uri(place.path),
            types.Range(
                types.Position(number - 1, self._codec.client_num_units(text[:start])),
                types.Position(number - 1, self._codec.client_num_units(text)),
            ),
        )
