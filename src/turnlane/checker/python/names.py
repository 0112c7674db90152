"""Which file of the project an import means.

A checked tree may hold many programs, each with its own root (`src/`, the folder of a script, a service of a
monorepo). Nothing says which folders are on `sys.path`, so an import goes to the file whose path ends with the
imported name and that is nearest to the importing file.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath

_SUFFIXES = (".py", ".ipynb", ".pyi")


class Names:
    """The project's modules by name."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_last_part: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for path in paths:
            parts = module_parts(path)
            if parts and not path.endswith(".ipynb"):
                self._by_last_part[parts[-1]].append((path, parts))
        self._found: dict[tuple[str, str], str | None] = {}

    def module(self, dotted: str, importer: str) -> str | None:
        """The file that `import dotted` in the file `importer` reads; None when it is not one of the project.

        `dotted` may start with dots, for a relative import.
        """
        key = (dotted, importer)
        if key not in self._found:
            self._found[key] = self._search(dotted, importer)
        return self._found[key]

    def _search(self, dotted: str, importer: str) -> str | None:
        folder = _folder(importer)
        name = dotted.lstrip(".")
        level = len(dotted) - len(name)
        parts = tuple(name.split(".")) if name else ()
        if level:
            wanted = (*folder[: len(folder) - (level - 1)], *parts)
            return self._exactly(wanted)
        if not parts or is_outside(parts[0]):
            return None
        found = self._nearest(parts, folder)
        # A wrapper is often named as the library it wraps, and means that: no file imports itself.
        return None if found == importer else found

    def _exactly(self, wanted: tuple[str, ...]) -> str | None:
        if not wanted:
            return None
        return next((path for path, parts in self._by_last_part.get(wanted[-1], ()) if parts == wanted), None)

    def _nearest(self, wanted: tuple[str, ...], folder: tuple[str, ...]) -> str | None:
        """The file whose name ends with `wanted`: of several, the one nearest to the importer."""
        best: tuple[int, int] | None = None
        found = None
        for path, parts in self._by_last_part.get(wanted[-1], ()):
            if parts[-len(wanted) :] != wanted:
                continue
            root = parts[: -len(wanted)]
            shared = _shared(root, folder)
            # A root deep in a tree that the importer is not part of is another program's.
            if len(root) - shared > 2:
                continue
            rank = (shared - (len(root) - shared), -len(root))
            if best is None or rank > best:
                best, found = rank, path
        return found


def module_parts(path: str) -> tuple[str, ...]:
    """`src/app/main.py` -> ("src", "app", "main"); a package's `__init__.py` is the package."""
    pure = PurePosixPath(path)
    parts = pure.parts[:-1] if pure.stem == "__init__" else (*pure.parts[:-1], pure.stem)
    return _plain(parts)


@cache
def _folder(path: str) -> tuple[str, ...]:
    return _plain(PurePosixPath(path).parent.parts)


def _plain(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in parts if part not in {"/", "."})


@cache
def is_outside(top: str) -> bool:
    """Whether the top-level name can only be the standard library's or a framework's, never the project's."""
    from turnlane.checker.libraries.frameworks import is_framework_module

    return top in sys.stdlib_module_names or is_framework_module(top)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many leading parts are the same."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
