"""The `Language` of TypeScript and JavaScript. Light to import: the parser comes with the first file."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from turnlane.checker.finding import Finding, Note
from turnlane.checker.shares import Look

if TYPE_CHECKING:
    from turnlane.checker.language import Sources
    from turnlane.checker.rule import Rule
    from turnlane.checker.settings import Settings
    from turnlane.checker.shares import Resolve
    from turnlane.checker.typescript.facts import Config, Module

_SUFFIXES: Final = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
_CONFIGS: Final = ("tsconfig.json", "jsconfig.json")


class TypeScript:
    """Reads `.ts .tsx .mts .cts .js .jsx .mjs .cjs`; asks tsconfig and package.json when it links."""

    name: Final = "typescript"
    version: Final = 1

    def takes(self, path: str) -> bool:
        """Whether this language reads the file."""
        return path.endswith(_SUFFIXES)

    def extract(self, path: str, data: bytes, /) -> Any:
        """Facts of one file: a `Module`."""
        from turnlane.checker.typescript.extract import extract

        return extract(path, data)

    def look(self, data: bytes, /) -> Look:
        """Nothing: all files are checked together."""
        return Look()

    def resolver(self, paths: Sequence[str], /) -> Resolve | None:
        """None: which files belong together is not looked for."""
        return None

    def check(
        self, facts: Mapping[str, Any], sources: Sources, rules: Sequence[Rule], settings: Settings
    ) -> Iterable[Finding | Note]:
        """Link the files and ask the rules."""
        from turnlane.checker.typescript.facts import Module as Facts
        from turnlane.checker.typescript.project import Project

        modules = {path: found for path, found in facts.items() if isinstance(found, Facts) and found.scopes}
        yield from _notes(facts)
        project = Project(modules, _configs(modules, sources), settings, _Packages(sources))
        for rule in rules:
            yield from rule.check(project)


class _Packages(Mapping[str, Mapping[str, Any]]):
    """The `package.json` of each folder, read when it is asked for; empty when there is none to read."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._read: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, folder: str) -> Mapping[str, Any]:
        if folder not in self._read:
            self._read[folder] = self._load(posixpath.join(folder, "package.json"))
        return self._read[folder]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    def _load(self, path: str) -> Mapping[str, Any]:
        try:
            content = json.loads(_text(self._sources, path))
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


def _configs(modules: Mapping[str, Module], sources: Sources) -> dict[str, Config]:
    """The tsconfig of each folder that has one, and what they extend, by path."""
    from turnlane.checker.typescript.specifiers import read_config

    folders: set[str] = set()
    for path in modules:
        folder = posixpath.dirname(path)
        while folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    waiting = [posixpath.join(folder, name) for folder in sorted(folders) for name in _CONFIGS]
    found: dict[str, Config] = {}
    while waiting:
        path = waiting.pop()
        text = "" if path in found else _text(sources, path)
        if text:
            found[path] = read_config(text.encode())
            extended = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[path].extends))
            if found[path].extends.startswith("."):
                waiting += [extended, extended + ".json"]
    return found


def _text(sources: Sources, path: str) -> str:
    try:
        return sources[path].text
    except (KeyError, OSError, ValueError):
        return ""


def _notes(facts: Mapping[str, Any]) -> Iterator[Note]:
    for path, found in facts.items():
        for line, text in getattr(found, "problems", ()):
            yield Note(path, line, text)


TYPESCRIPT: Final = TypeScript()
