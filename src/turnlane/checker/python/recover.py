"""The syntax tree of a file that Python refuses: newer or older syntax, merge markers, a line half written.

What another Python allows is written in the form this one knows; then the statement at each syntax error is left
out, as little of it as makes the next error come later, until the rest parses. Lines keep their numbers, and
columns theirs on every line that was not repaired. tree-sitter says where statements start and end; it is imported
here only, since most runs meet no such file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from turnlane.checker.python.dialects import Statement, in_this_python

LARGEST_FILE = 1_000_000
"""In bytes; a larger file that does not parse is data or damaged."""

PARSED_AT_MOST = 4_000_000
"""Characters given to the parser in all: what bounds the time."""

_MERGE_MARKER = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?: .*)?$")
_DEFINITION = re.compile(r"(\s*(?:async\s+def|def|class)\s+\w+)")
_HEADER = re.compile(r"(\s*)(async\s+for|async\s+with|if|elif|else|for|while|with|try|except|finally)\b")
_LINE_END = re.compile(r"\r\n|\r|\n")
_NAMED_LINE = re.compile(r"on line (\d+)$")
_CONDITIONS = {"elif": "elif 1:", "else": "else:", "try": "try:", "except": "except _:", "finally": "finally:"}


class Change(NamedTuple):
    """Lines `first` to `last` (from 0) become `line` and empty lines."""

    first: int
    last: int
    line: str


def recover(text: str, flags: int) -> ast.Module | None:
    """The tree of what can be read of `text`, which did not parse; None when nothing can.

    Args:
        text: the program.
        flags: for `compile`, with `ast.PyCF_ONLY_AST`.
    """
    if len(text) > LARGEST_FILE:
        return None
    text = text.replace("\0", " ").replace("\f", " ")
    text, statements = in_this_python("\n".join(_without_markers(_LINE_END.split(text))))
    return _Repair(text.split("\n"), statements, flags).tree()


def _without_markers(lines: Sequence[str]) -> list[str]:
    """Both sides of a merge conflict are kept."""
    return ["" if _MERGE_MARKER.match(line) else line for line in lines]


class _Repair:
    """Changes lines until they parse."""

    def __init__(self, lines: list[str], statements: Sequence[Statement], flags: int) -> None:
        self._lines = lines
        self._statements = sorted(statements, key=lambda one: one.last - one.first)
        self._flags = flags
        self._seen: set[int] = set()
        """The lines that had an error: one that comes back there is no progress."""
        self._budget = max(PARSED_AT_MOST, 8 * sum(map(len, lines)))

    def tree(self) -> ast.Module | None:
        """The tree of what is left; None when nothing could be made of it."""
        found = self._parse(self._lines)
        while not isinstance(found, ast.Module) and self._budget > 0:
            if not isinstance(found, SyntaxError):
                break
            self._lines, found = self._repaired(found)
        if not isinstance(found, ast.Module):
            found = self._parse(self._checked_apart())
        return found if isinstance(found, ast.Module) else None

    def _parse(self, lines: Sequence[str]) -> ast.Module | Exception:
        text = "\n".join(lines)
        self._budget -= len(text)
        try:
            tree = compile(text, "<checked>", "exec", self._flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return error
        assert isinstance(tree, ast.Module)
        return tree

    def _repaired(self, error: SyntaxError) -> tuple[list[str], ast.Module | Exception]:
        """The lines after the smallest change that lets the parser come further, and what it then says."""
        at = self._line_of(error)
        self._seen.add(at)
        if isinstance(error, TabError):
            lines = _without_tabs(self._lines)
            return lines, self._parse(lines)
        for change in self._changes(error, at):
            lines = _changed(self._lines, change)
            found = self._parse(lines)
            if self._is_better(found, at):
                return lines, found
            if self._budget < 0:
                break
        lines = _changed(self._lines, Change(at, at, ""))
        if lines == self._lines:
            lines = _changed(lines, self._around(at))
        return lines, self._parse(lines)

    def _line_of(self, error: SyntaxError) -> int:
        return min(max((error.lineno or 1) - 1, 0), len(self._lines) - 1)

    def _is_better(self, found: ast.Module | Exception, at: int) -> bool:
        """Whether the parser met another error than the one at line `at`, and none that the change made."""
        if not isinstance(found, SyntaxError):
            return True
        line = self._line_of(found)
        if isinstance(found, IndentationError) and not _NAMED_LINE.search(found.msg):
            return line > at and any(map(str.strip, self._lines[at + 1 : line]))
        return line > at or line not in self._seen

    def _changes(self, error: SyntaxError, at: int) -> Iterator[Change]:
        """What may help against an error at line `at`, least first."""
        lines = self._lines
        if error.msg == "expected ':'":
            yield Change(at, at, lines[at].rstrip() + ":")
        if named := _NAMED_LINE.search(error.msg or ""):
            empty = min(int(named[1]) - 1, at)
            yield Change(empty, empty, lines[empty] + " pass")
        yield from _line_changes(lines, at)
        for one in self._statements:
            if one.first <= at <= one.last:
                if one.body > at:
                    yield from _header_changes(lines, one.first, one.body - 1)
                yield Change(one.first, one.last, _indent(lines[one.first]) + "pass")
                yield Change(one.first, one.last, "")

    def _around(self, at: int) -> Change:
        """Everything from the last line before `at` that says something; nothing helped."""
        first = at
        while first > 0 and not self._lines[first].strip():
            first -= 1
        return Change(first, at, "")

    def _checked_apart(self) -> list[str]:
        """The lines without the outermost statements that do not parse by themselves."""
        lines = self._lines
        for one in self._statements:
            if one.outermost and not isinstance(self._parse(lines[one.first : one.last + 1]), ast.Module):
                lines = _changed(lines, Change(one.first, one.last, ""))
        return lines


def _without_tabs(lines: Sequence[str]) -> list[str]:
    """Indented as Python 2 read tabs and spaces."""
    return [_indent(line).expandtabs(8) + line.lstrip() for line in lines]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _line_changes(lines: Sequence[str], at: int) -> Iterator[Change]:
    line = lines[at]
    yield from _header_changes(lines, at, at)
    yield Change(at, at, _indent(line) + "pass")
    yield Change(at, at, "")
    last = at
    while last + 1 < len(lines) and len(_indent(lines[last + 1])) >= len(_indent(line)) > 0:
        last += 1
    if last > at:
        yield Change(at, last, "")


def _header_changes(lines: Sequence[str], first: int, last: int) -> Iterator[Change]:
    """The same kind of block, with nothing in its header but a name."""
    line = lines[first]
    if definition := _DEFINITION.match(line):
        yield Change(first, last, definition[1] + (":" if "class" in definition[1].split() else "():"))
    elif header := _HEADER.match(line):
        yield Change(first, last, header[1] + _CONDITIONS.get(header[2], "if 1:"))


def _changed(lines: Sequence[str], change: Change) -> list[str]:
    empty = [""] * (change.last - change.first)
    return [*lines[: change.first], change.line, *empty, *lines[change.last + 1 :]]
