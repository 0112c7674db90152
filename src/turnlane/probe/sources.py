"""The program's own source files, as far as its start command and its imports name them."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

MOST_FILES: Final = 200
"""Files at most: a verdict needs the handler and what it calls, not a whole monorepo."""

_SCRIPTS: Final = (".py", ".mjs", ".cjs", ".js", ".ts", ".mts", ".tsx", ".jsx")
_APP: Final = re.compile(r"(?P<module>[A-Za-z_][\w.]*)(?::[\w.]+(?:\(\))?)?$")
_PYTHON_IMPORT: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+([\w, \t(]+)|import[ \t]+([\w., \t]+))", re.MULTILINE
)
_SCRIPT_IMPORT: Final = re.compile(r"(?:\bfrom|\bimport|\brequire\()\s*[\"'](\.{1,2}/[^\"']+)[\"']")


def sources_of(command: Sequence[str], directory: str | None) -> list[Path]:
    """The files that the command starts, and those of the project that they import, entries first."""
    root = Path(directory or ".").absolute()
    found: dict[Path, None] = dict.fromkeys(_entries(command, root))
    waiting = list(found)
    while waiting and len(found) < MOST_FILES:
        file = waiting.pop(0)
        for imported in _imported(file, root):
            if imported not in found:
                found[imported] = None
                waiting.append(imported)
    return list(found)


def _entries(command: Sequence[str], root: Path) -> Iterator[Path]:
    """Words that name a file, or a module with or without an attribute, as servers are given their app."""
    words = _words(command)
    roots = [
        root,
        *(root / Path(after) for word, after in itertools.pairwise(words) if word == "--app-dir"),
    ]
    for word in words[1:]:
        for base in roots:
            path = base / word.partition(":")[0]
            if path.suffix in _SCRIPTS and path.is_file():
                yield path
            elif _APP.fullmatch(word):
                yield from _module(base, _APP.fullmatch(word)["module"])  # type: ignore[index]


def _words(command: Sequence[str]) -> list[str]:
    """Those of the shell's command, if a shell runs it."""
    if len(command) == 3 and command[1] == "-c":
        try:
            return [command[0], *shlex.split(command[2])]
        except ValueError:
            return []
    return list(command)


def _module(base: Path, name: str) -> Iterator[Path]:
    path = base.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            yield candidate


def _imported(file: Path, root: Path) -> Iterator[Path]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from _python_imports(file, text, root) if file.suffix == ".py" else _script_imports(file, text)


def _python_imports(file: Path, text: str, root: Path) -> Iterator[Path]:
    for source, names, plain in _PYTHON_IMPORT.findall(text):
        for module in (name.split()[0] for name in plain.split(",") if name.split()):
            yield from _from_either(file, root, module)
        if source:
            dots = len(source) - len(source.lstrip("."))
            base = file.parents[dots - 1] if dots else None
            rest = source.lstrip(".")
            members = [name.split()[0] for name in names.strip("( \t").split(",") if name.split()]
            for module in (rest, *(f"{rest}.{member}".strip(".") for member in members)):
                yield from _module(base, module) if base and module else _from_either(file, root, module)


def _from_either(file: Path, root: Path, module: str) -> Iterator[Path]:
    """Seen from where the program is started, or from beside the file that imports."""
    if module:
        yield from _module(root, module)
        yield from _module(file.parent, module)


def _script_imports(file: Path, text: str) -> Iterator[Path]:
    for name in _SCRIPT_IMPORT.findall(text):
        path = (file.parent / name).resolve()
        for candidate in (path, *(path.with_suffix(suffix) for suffix in _SCRIPTS[1:])):
            if candidate.is_file() and candidate.suffix in _SCRIPTS:
                yield candidate
                break
