"""From the text of an import to the file that it names: relative paths, `paths` of a tsconfig, `@/`."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Mapping
from typing import Final

from turnlane.checker.typescript.facts import Config

_SUFFIXES: Final = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
_WRITTEN: Final = re.compile(r"\.(m|c)?jsx?$")
"""TypeScript imports `./x.js` and means `./x.ts`."""
_COMMENTS: Final = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.S)
_TRAILING_COMMA: Final = re.compile(r'("(?:\\.|[^"\\\n])*")|,(?=\s*[}\]])')


def read_config(data: bytes) -> Config:
    """What a `tsconfig.json` says of imports; comments and trailing commas are allowed, nonsense says nothing."""
    text = data.decode("utf-8-sig", "replace")
    for pattern in (_COMMENTS, _TRAILING_COMMA):
        text = pattern.sub(lambda match: match[1] or "", text)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return Config()
    if not isinstance(content, dict):
        return Config()
    options = content.get("compilerOptions")
    options = options if isinstance(options, dict) else {}
    base, extends = options.get("baseUrl"), content.get("extends")
    return Config(
        base if isinstance(base, str) else "", _paths(options), extends if isinstance(extends, str) else ""
    )


def _paths(options: Mapping[str, object]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    paths = options.get("paths")
    if not isinstance(paths, dict):
        return ()
    return tuple(
        (pattern, tuple(target for target in targets if isinstance(target, str)))
        for pattern, targets in paths.items()
        if isinstance(targets, list)
    )


class Specifiers:
    """Finds the file behind an import, among the files that were read."""

    def __init__(self, files: Collection[str], configs: Mapping[str, Config]) -> None:
        self._files = frozenset(files)
        self._all = dict(configs)
        own = {path for path in configs if posixpath.basename(path) in ("tsconfig.json", "jsconfig.json")}
        self._configs = {posixpath.dirname(path): (path, configs[path]) for path in sorted(own)}
        self._found: dict[tuple[str, str], str] = {}

    def find(self, importer: str, specifier: str) -> str:
        """The path of the file that `importer` means by `specifier`; empty: a package, or a file not read."""
        key = (posixpath.dirname(importer), specifier)
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def alias(self, importer: str, specifier: str) -> bool:
        """Whether a tsconfig of the project, not the registry, says what `specifier` is."""
        return any(
            _captured(pattern, specifier) is not None
            for _, config in self._enclosing(posixpath.dirname(importer))
            for pattern, _targets in config.paths
            if pattern != "*"
        )

    def _find(self, folder: str, specifier: str) -> str:
        if specifier.startswith("."):
            return self._file(_join(folder, specifier))
        for place, config in self._enclosing(folder):
            if found := self._by_config(place, config, specifier):
                return found
        return self._by_custom(folder, specifier)

    def _enclosing(self, folder: str) -> list[tuple[str, Config]]:
        """The configs of the folders above, the nearest first, each with the one it extends."""
        found: list[tuple[str, Config]] = []
        for parent in _parents(folder):
            if parent in self._configs:
                path, config = self._configs[parent]
                found.append((parent, config))
                found.extend(self._extended(path, config))
        return found

    def _extended(self, path: str, config: Config) -> list[tuple[str, Config]]:
        if not config.extends.startswith("."):
            return []
        target = _join(posixpath.dirname(path), config.extends)
        names = (name for name in (target, target + ".json") if name in self._all and name != path)
        return [(posixpath.dirname(name), self._all[name]) for name in names]

    def _by_config(self, folder: str, config: Config, specifier: str) -> str:
        base = _join(folder, config.base or ".")
        for pattern, targets in config.paths:
            star = _captured(pattern, specifier)
            if star is None:
                continue
            for target in targets:
                if found := self._file(_join(base, target.replace("*", star, 1))):
                    return found
        return self._file(_join(base, specifier)) if config.base else ""

    def _by_custom(self, folder: str, specifier: str) -> str:
        """`@/x`, `~/x`, `src/x` and the packages of a workspace, when no tsconfig was read that says it."""
        if specifier.startswith(("@/", "~/", "$lib/")):
            rest = specifier.split("/", 1)[1]
            starts = ("", "src", "app", "src/lib" if specifier[0] == "$" else "")
            places = (_join(_join(parent, start), rest) for parent in _parents(folder) for start in starts)
            return next((found for place in places if (found := self._file(place))), "")
        if specifier.startswith("src/"):
            places = (_join(parent, specifier) for parent in _parents(folder))
            return next((found for place in places if (found := self._file(place))), "")
        return ""

    def _file(self, place: str) -> str:
        stem = _WRITTEN.sub("", place)
        candidates = [place, *(place + suffix for suffix in _SUFFIXES)]
        if stem != place:
            candidates += [stem + suffix for suffix in _SUFFIXES]
        candidates += [_join(place, "index" + suffix) for suffix in _SUFFIXES]
        return next((candidate for candidate in candidates if candidate in self._files), "")


def _join(folder: str, path: str) -> str:
    joined = posixpath.normpath(posixpath.join(folder, path))
    return "" if joined == "." else joined


def _parents(folder: str) -> list[str]:
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _captured(pattern: str, specifier: str) -> str | None:
    """What the star of a pattern stands for; None: the pattern does not fit."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if pattern == specifier else None
    fits = (
        specifier.startswith(before) and specifier.endswith(after) and len(specifier) >= len(before) + len(after)
    )
    return specifier[len(before) : len(specifier) - len(after)] if fits else None
