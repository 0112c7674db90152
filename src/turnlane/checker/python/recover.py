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

PARSED_AT_MOST = 2_000_000
"""Characters given to the parser in all, beside ten times the file's: what bounds the time."""

FEW_ERRORS = 4

LONGEST_BRACKET = 60
"""Lines before an error in which the bracket around it is looked for."""

TRIES = 25
"""How often one statement is given to the parser, about."""

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
    return _Repair(text.split("\n"), flags).tree(statements)


def _without_markers(lines: Sequence[str]) -> list[str]:
    """Both sides of a merge conflict are kept."""
    return ["" if _MERGE_MARKER.match(line) else line for line in lines]


class _Repair:
    """Changes lines until they parse: the innermost statements first, since little text is read quickly."""

    def __init__(self, lines: list[str], flags: int) -> None:
        self._lines = lines
        self._flags = flags
        self._budget = PARSED_AT_MOST + 10 * sum(map(len, lines))

    def tree(self, statements: Sequence[Statement]) -> ast.Module | None:
        """The tree of what is left; None when nothing could be made of it."""
        whole = Statement(0, len(self._lines) - 1, 0, list(statements))
        found = self._parse(whole)
        if isinstance(found, TabError):
            self._lines = [_indent(line).expandtabs(8) + line.lstrip() for line in self._lines]  # as Python 2
        found = self._slightly_repaired(whole)
        if not isinstance(found, ast.Module):
            self._settle_inner(whole)
            found = self._repaired(whole)
        if not isinstance(found, ast.Module):
            self._keep_only(whole)
            found = self._parse(whole)
        return found if isinstance(found, ast.Module) else None

    def _slightly_repaired(self, whole: Statement) -> ast.Module | Exception:
        """What comes of a file with few errors that each give way to a small change; else it stays as it is."""
        lines = list(self._lines)
        found: ast.Module | Exception | None = self._parse(whole)
        seen: set[int] = set()
        for _ in range(FEW_ERRORS):
            if not isinstance(found, SyntaxError):
                break
            seen.add(_line_of(found))
            found = self._next(whole, found, seen)
        if isinstance(found, ast.Module):
            return found
        self._lines = lines
        return self._parse(whole)

    def _keep_only(self, part: Statement) -> None:
        """Leave nothing of a block but its header and the statements in it that parse by themselves."""
        kept = [""] * (part.last + 1 - part.first)
        kept[: part.body - part.first] = self._lines[part.first : part.body]
        inner = [one for one in part.inner if one.first >= part.body]
        indent = _indent(self._lines[inner[0].first]) if inner and part.first else ""
        for one in inner:
            if _indent(self._lines[one.first]) == indent and isinstance(self._parse(one), ast.Module):
                kept[one.first - part.first : one.last + 1 - part.first] = self._lines[one.first : one.last + 1]
        self._lines[part.first : part.last + 1] = kept

    def _settle_inner(self, around: Statement) -> None:
        """Make each statement in `around` one that parses."""
        for one in around.inner:
            if one.first == around.first and around.first != 0:
                continue  # shares the line with its header
            if self._budget > 0 and not isinstance(self._parse(one), ast.Module):
                self._settle_inner(one)
                if isinstance(self._repaired(one), ast.Module):
                    continue
                self._keep_only(one)
                if not isinstance(self._parse(one), ast.Module):
                    self._change(Change(one.first, one.last, _indent(self._lines[one.first]) + "pass"))

    def _parse(self, part: Statement) -> ast.Module | Exception:
        """The tree of some lines; or why there is none, with the line counted in the whole file."""
        lines = self._lines[part.first : part.last + 1]
        indented = part.first > 0 and lines[0][:1].isspace()
        text = "\n".join(["if 1:", *lines] if indented else lines)
        self._budget -= len(text)
        try:
            tree = compile(text, "<checked>", "exec", self._flags, dont_inherit=True)
        except SyntaxError as error:
            shift = part.first - indented
            error.lineno = min(max((error.lineno or 1) + shift, part.first + 1), part.last + 1)
            if named := _NAMED_LINE.search(error.msg):
                error.msg = f"on line {int(named[1]) + shift}"
            return error
        except (ValueError, RecursionError, MemoryError) as error:
            return error
        assert isinstance(tree, ast.Module)
        return _left_early(tree, part.first) if indented and len(tree.body) > 1 else tree

    def _change(self, change: Change) -> None:
        empty = [""] * (change.last - change.first)
        self._lines[change.first : change.last + 1] = [change.line, *empty]

    def _repaired(self, part: Statement) -> ast.Module | Exception:
        """Change lines of `part`, as few as possible for each error, until it parses or hope is lost."""
        seen: set[int] = set()
        found = self._parse(part)
        allowance = self._budget - max(TRIES * sum(map(len, self._lines[part.first : part.last + 1])), 20_000)
        while isinstance(found, SyntaxError) and self._budget > max(allowance, 0):
            at = _line_of(found)
            seen.add(at)
            found = self._next(part, found, seen) or self._without_line(part, _line_of(found))
        return found

    def _next(self, part: Statement, error: SyntaxError, seen: set[int]) -> ast.Module | Exception | None:
        """What the parser says after the smallest change that lets it come further; None: there is none."""
        at = _line_of(error)
        for change in _changes(self._lines, part, error):
            before = self._lines[change.first : change.last + 1]
            self._change(change)
            found = self._parse(part)
            if self._is_better(found, at, seen):
                return found
            self._lines[change.first : change.last + 1] = before
            if self._budget < 0:
                break
        return None

    def _without_line(self, part: Statement, at: int) -> ast.Module | Exception:
        first = at
        while first > part.first and not self._lines[first].strip():
            first -= 1
        self._change(Change(first, at, ""))
        return self._parse(part)

    def _is_better(self, found: ast.Module | Exception, at: int, seen: set[int]) -> bool:
        """Whether the parser met another error than the one at line `at`, and none that the change made."""
        if not isinstance(found, SyntaxError):
            return True
        line = _line_of(found)
        if isinstance(found, IndentationError) and not _NAMED_LINE.search(found.msg):
            return line > at and any(map(str.strip, self._lines[at + 1 : line]))
        return line > at or line not in seen


def _left_early(tree: ast.Module, shift: int) -> SyntaxError:
    """What is wrong with lines that fall out of the block they are in."""
    error = IndentationError("unindent")
    error.lineno = tree.body[1].lineno + shift - 1
    return error


def _line_of(error: SyntaxError) -> int:
    return (error.lineno or 1) - 1


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


# --- Changes -------------------------------------------------------------------------------------------------


def _changes(lines: Sequence[str], part: Statement, error: SyntaxError) -> Iterator[Change]:
    """What may help against `error`, least first."""
    at = _line_of(error)
    if error.msg == "expected ':'":
        yield Change(at, at, lines[at].rstrip() + ":")
    if named := _NAMED_LINE.search(error.msg):
        empty = min(max(int(named[1]) - 1, part.first), at)
        yield Change(empty, empty, lines[empty] + " pass")
    if error.msg.startswith("expected 'except'"):
        yield from _without_try(lines, part, at)
    yield from _header_changes(lines, at, at)
    yield Change(at, at, _indent(lines[at]) + "pass")
    yield Change(at, at, "")
    yield from _bracket_changes(lines, part, at)
    last = _end_of_run(lines, part, at)
    if last > at:
        yield Change(at, last, "")
    for one in reversed(list(_around(part, at))):
        if one.body > at:
            yield from _header_changes(lines, one.first, one.body - 1)
        yield Change(one.first, one.last, _indent(lines[one.first]) + "pass")
        yield Change(one.first, one.last, "")


def _bracket_changes(lines: Sequence[str], part: Statement, at: int) -> Iterator[Change]:
    """Line `at`, or one before that is indented less, with the deeper lines below and the closing bracket."""
    width = len(_indent(lines[at])) + 1
    for first in range(at, max(part.first, at - LONGEST_BRACKET) - 1, -1):
        indent = len(_indent(lines[first]))
        if lines[first].strip() and indent < width and not _DEFINITION.match(lines[first]):
            width = indent
            last = _end_of_bracket(lines, part, first)
            if last > first:
                yield Change(first, last, _indent(lines[first]) + "pass")
        if not width:
            return


def _end_of_bracket(lines: Sequence[str], part: Statement, first: int) -> int:
    width = len(_indent(lines[first]))
    last = first
    while last < part.last and (not lines[last + 1].strip() or len(_indent(lines[last + 1])) > width):
        last += 1
    if (
        last < part.last
        and lines[last + 1].lstrip()[:1] in tuple(")]}")
        and len(_indent(lines[last + 1])) == width
    ):
        last += 1
    return last


def _end_of_run(lines: Sequence[str], part: Statement, at: int) -> int:
    """The last line after `at` that is indented as far, empty ones passed over."""
    width = len(_indent(lines[at]))
    last = at
    for number in range(at + 1, part.last + 1 if width else at):
        line = lines[number]
        if line.strip():
            if len(_indent(line)) < width:
                break
            last = number
    return last


def _without_try(lines: Sequence[str], part: Statement, at: int) -> Iterator[Change]:
    """The last `try` before line `at`, whose handlers are the broken part."""
    for number in range(at, part.first - 1, -1):
        if lines[number].strip() == "try:":
            yield Change(number, number, _indent(lines[number]) + "if 1:")
            return


def _around(part: Statement, at: int) -> Iterator[Statement]:
    """The statements in `part` that line `at` belongs to, outermost first."""
    for one in part.inner:
        if one.first <= at <= one.last:
            yield one
            yield from _around(one, at)


def _header_changes(lines: Sequence[str], first: int, last: int) -> Iterator[Change]:
    """The same kind of block, with nothing in its header but a name."""
    line = lines[first]
    if definition := _DEFINITION.match(line):
        yield Change(first, last, definition[1] + (":" if "class" in definition[1].split() else "():"))
    elif header := _HEADER.match(line):
        yield Change(first, last, header[1] + _CONDITIONS.get(header[2], "if 1:"))
