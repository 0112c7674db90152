"""Patterns of paths as `.gitignore` writes them; also those of `exclude` and `per-file-ignores`.

An own matcher: importing `pathspec` costs more than checking a file, and it tries each pattern in turn. Here the
patterns of a file become two regular expressions, one for names and one for paths. A test compares with git.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Group(NamedTuple):
    """Patterns that stand together and have the same sign."""

    ignores: bool
    """False for `!pattern`: these take back what earlier ones ignored."""
    names: re.Pattern[str] | None
    """Of a file's own name: patterns without a slash."""
    paths: re.Pattern[str] | None
    """Of the path below the folder of the patterns."""
    folder_names: re.Pattern[str] | None
    """The same for folders: patterns that end in a slash are in these only."""
    folder_paths: re.Pattern[str] | None

    def matches(self, path: str, name: str, folder: bool) -> bool:
        """Whether one of the patterns matches."""
        by_name, by_path = (self.folder_names, self.folder_paths) if folder else (self.names, self.paths)
        return bool((by_name and by_name.match(name)) or (by_path and by_path.match(path)))


class Patterns:
    """The patterns of one file, or of one setting. Paths are relative to its folder, with forward slashes."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._groups = tuple(_groups(lines))[::-1]

    def __bool__(self) -> bool:
        return bool(self._groups)

    def decides(self, path: str, folder: bool) -> bool | None:
        """True: ignored; False: taken back by `!`; None: no pattern speaks of `path` itself."""
        name = path.rsplit("/", 1)[-1]
        for group in self._groups:
            if group.matches(path, name, folder):
                return group.ignores
        return None

    def covers(self, path: str) -> bool:
        """Whether the file `path`, or a folder that it is in, is matched."""
        parts = path.split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts)))
        return any(self.decides(folder, True) for folder in above) or bool(self.decides(path, False))


class _Line(NamedTuple):
    ignores: bool
    anchored: bool
    """It has a slash that is not its last character: it speaks of a path, not of a name."""
    folders_only: bool
    regex: str


def _groups(lines: Iterable[str]) -> Iterator[Group]:
    together: list[_Line] = []
    for line in filter(None, map(_line, lines)):
        if together and together[-1].ignores != line.ignores:
            yield _group(together)
            together = []
        together.append(line)
    if together:
        yield _group(together)


def _group(lines: list[_Line]) -> Group:
    of_files = [line for line in lines if not line.folders_only]
    return Group(
        lines[0].ignores,
        _any_of(line.regex for line in of_files if not line.anchored),
        _any_of(line.regex for line in of_files if line.anchored),
        _any_of(line.regex for line in lines if not line.anchored),
        _any_of(line.regex for line in lines if line.anchored),
    )


def _any_of(regexes: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(regexes)
    return re.compile(f"(?:{joined})\\Z", re.DOTALL) if joined else None


def _line(line: str) -> _Line | None:
    """One line of a file; None for a comment, an empty line and a pattern that can't match."""
    line = line.rstrip("\r\n")
    if line.startswith("#"):
        return None
    line = _without_trailing_spaces(line)
    ignores = not line.startswith("!")
    pattern = line if ignores else line[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    anchored = "/" in pattern
    regex = _regex(pattern.removeprefix("/"), anchored)
    if not pattern or regex is None:
        return None
    return _Line(ignores, anchored, folders_only, regex)


def _without_trailing_spaces(line: str) -> str:
    kept = line.rstrip(" ")
    escaped = (len(kept) - len(kept.rstrip("\\"))) % 2
    return f"{kept} " if escaped and len(kept) < len(line) else kept


_TOKEN = re.compile(
    r"(?P<all>\A\*\*+\Z)|(?P<leading>\A\*\*+/)|(?P<inner>/\*\*+(?=/))|(?P<trailing>/\*\*+\Z)|(?P<star>\*+)|(?P<one>\?)"
    r"|(?P<set>\[[!^]?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|\\(?P<escaped>.)|(?P<other>.)",
    re.DOTALL,
)
_CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:xdigit:]": "0-9a-fA-F",
}


def _regex(pattern: str, anchored: bool) -> str | None:
    """The pattern as a regular expression; None when git would never match it."""
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        return None
    # git compares the plain beginning of a path first, so that `**` after it counts as one at the beginning.
    special = re.search(r"[*?\[\\]", pattern)
    plain = special.start() if anchored and special else 0
    return re.escape(pattern[:plain]) + "".join(map(_token, _TOKEN.finditer(pattern[plain:])))


def _token(match: re.Match[str]) -> str:
    text = match[0]
    match match.lastgroup:
        case "all":
            return ".*"
        case "leading":
            return "(?:.*/)?"
        case "inner":
            return "(?:/.*)?"
        case "trailing":
            return "/.+"
        case "star":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            return _set(text)
    return re.escape(match["escaped"] or text)


def _set(text: str) -> str:
    inverted = text[1] in "!^"
    inner = text[2 if inverted else 1 : -1]
    for name, ranges in _CLASSES.items():
        inner = inner.replace(name, ranges)
    # A `[` or a leading `]` means itself in git; Python wants both escaped.
    inner = re.sub(r"(?<!\\)([\[\]&~|])", r"\\\1", inner)
    wanted = f"(?!/)[{'^' if inverted else ''}{inner}]"
    try:
        re.compile(wanted)
    except re.error:
        return "(?!)"
    return wanted
