"""What ruff reports for a file, as the project configures it: its findings need not be told twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

DEFAULT: Final = ("E4", "E7", "E9", "F")
"""What ruff selects when nothing is selected."""

_FILES: Final = (".ruff.toml", "ruff.toml", "pyproject.toml")
"""In ruff's order."""


class Selection(NamedTuple):
    """Prefixes of ruff's codes that are reported, and that are not; the longest decides."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]

    def reports(self, code: str) -> bool:
        """Whether a code is reported."""
        chosen = max((_length(code, prefix) for prefix in self.select), default=0)
        return chosen > max((_length(code, prefix) for prefix in self.ignore), default=0)


class RuffConfigurations:
    """The configurations of a tree, each read when a file below it is asked for."""

    def __init__(self, start: str) -> None:
        """`start`: the folder that paths are relative to."""
        self._start = start
        self._by_folder: dict[str, Selection | None] = {}

    def reports(self, code: str, path: str) -> bool:
        """Whether ruff, as configured for the file `path`, reports `code`. False where it is not configured."""
        selection = self._of(os.path.dirname(os.path.join(self._start, path)))
        return selection is not None and selection.reports(code)

    def _of(self, folder: str) -> Selection | None:
        if folder not in self._by_folder:
            found = _read(folder)
            above = os.path.dirname(folder)
            self._by_folder[folder] = found if found is not None or above == folder else self._of(above)
        return self._by_folder[folder]


def _read(folder: str) -> Selection | None:
    """The selection that a folder's own file makes; None when it has none."""
    for name in _FILES:
        table = _table(os.path.join(folder, name))
        if table is not None:
            return _selection(table, folder)
    return None


def _selection(table: Mapping[str, Any], folder: str, depth: int = 0) -> Selection:
    base = Selection(DEFAULT, ())
    extended = table.get("extend")
    if isinstance(extended, str) and depth < 5:
        path = os.path.join(folder, os.path.expanduser(extended))
        above = _table(path)
        if above is not None:
            base = _selection(above, os.path.dirname(path), depth + 1)
    lint = table.get("lint")
    # Before ruff 0.2 the keys stood at the top.
    both = [table, lint] if isinstance(lint, dict) else [table]
    select = next((_texts(part, "select") for part in reversed(both) if "select" in part), base.select)
    ignore = next((_texts(part, "ignore") for part in reversed(both) if "ignore" in part), base.ignore)
    more = tuple(code for part in both for code in _texts(part, "extend-select"))
    less = tuple(code for part in both for code in _texts(part, "extend-ignore"))
    return Selection(select + more, ignore + less)


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _table(path: str) -> Mapping[str, Any] | None:
    """What a file says of ruff; None when it is not there, is no TOML, or says nothing."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    own = not path.endswith("pyproject.toml")
    if not own and b"ruff" not in data:
        return None
    import tomllib

    try:
        document = tomllib.loads(data.decode())
    except ValueError:
        return None
    if own:
        return document
    tool = document.get("tool")
    table = tool.get("ruff") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _length(code: str, prefix: str) -> int:
    """How well a prefix fits a code: 0 not at all."""
    return 1 if prefix == "ALL" else len(prefix) + 1 if code.startswith(prefix) else 0
