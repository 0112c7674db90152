"""The files of a run as text, each read once and only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnlane.checker.source import Source, Unreadable, decode

if TYPE_CHECKING:
    from turnlane.checker.notebook import Notebook


class Texts:
    """What is in the checked files. `texts[path]` is what places count in: of a notebook, its joined program."""

    def __init__(self, unsaved: Mapping[str, bytes] | None = None) -> None:
        """`unsaved` stands for the files of these paths: standard input, documents open in an editor."""
        self.unsaved = dict(unsaved or {})
        self._sources: dict[str, Source] = {}
        self._notebooks: dict[str, Notebook] = {}

    def data(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: it can't be read.
        """
        if path in self.unsaved:
            return self.unsaved[path]
        with open(path, "rb") as file:
            return file.read()

    def raw(self, path: str) -> str:
        """The file's own text, of a notebook its JSON; empty when it can't be read."""
        try:
            return decode(self.data(path))
        except (OSError, Unreadable):
            return ""

    def notebook(self, path: str) -> Notebook | None:
        """The cells of a notebook; None when it is none or can't be read."""
        if not path.lower().endswith(".ipynb"):
            return None
        if path not in self._notebooks:
            from turnlane.checker import notebook

            try:
                self._notebooks[path] = notebook.read(self.raw(path))
            except ValueError:
                return None
        return self._notebooks[path]

    def __getitem__(self, path: str) -> Source:
        if path not in self._sources:
            notebook = self.notebook(path)
            text = notebook.program if notebook is not None else self.raw(path)
            self._sources[path] = Source(path, text)
        return self._sources[path]
