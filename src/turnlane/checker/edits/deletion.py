"""Deletes statements: the lines they leave are clean, and no body is left empty."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from turnlane.checker.edits.code import Change, Code

_BODIES = ("body", "orelse", "finalbody")


def delete(code: Code, statements: Collection[ast.stmt], *, keep_comments: bool) -> list[Change]:
    """The changes that delete `statements`; a body that would be empty gets a `pass`.

    A comment at the end of a deleted line stays, on a line of its own, if `keep_comments`.
    """
    doomed = _with_emptied_tries(code, set(statements))
    changes: list[Change] = []
    for body, is_module in _bodies(code):
        gone = [node for node in body if node in doomed]
        if gone and len(gone) == len(body) and not is_module:
            changes.append(Change(code.start(gone[0]), code.end(gone[0]), "pass"))
            gone = gone[1:]
        for line in _lines_of(body):
            changes += _deletions(code, line, [node for node in line if node in gone], keep_comments)
    return changes


def _with_emptied_tries(code: Code, doomed: set[ast.stmt]) -> set[ast.stmt]:
    """With each `try` whose body is deleted, and which leaves nothing to do: its handlers can't be reached."""
    for node in reversed(list(ast.walk(code.tree))):  # the innermost first
        if isinstance(node, ast.Try) and all(
            each in doomed for each in (*node.body, *node.orelse, *node.finalbody)
        ):
            doomed.difference_update(each for each in ast.walk(node) if isinstance(each, ast.stmt))
            doomed.add(node)
    return doomed


def _bodies(code: Code) -> Iterator[tuple[list[ast.stmt], bool]]:
    """Every list of statements, and whether it is the module's, which may be empty."""
    for node in ast.walk(code.tree):
        for name in _BODIES:
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                yield body, isinstance(node, ast.Module)


def _lines_of(body: list[ast.stmt]) -> list[list[ast.stmt]]:
    """The statements of a body, those together that `;` joins."""
    lines: list[list[ast.stmt]] = []
    for node in body:
        if lines and lines[-1][-1].end_lineno == node.lineno:
            lines[-1].append(node)
        else:
            lines.append([node])
    return lines


def _deletions(code: Code, line: list[ast.stmt], gone: list[ast.stmt], keep_comments: bool) -> Iterator[Change]:
    """Delete some of the statements that `;` joins, with one `;` for each."""
    if len(gone) == len(line):
        yield _whole(code, line[0], line[-1], keep_comments)
        return
    kept = max((index for index, node in enumerate(line) if node not in gone), default=0)
    for node in gone:
        index = line.index(node)
        if index < kept:
            yield Change(_start(code, node), code.start(line[index + 1]), "")
        else:
            yield Change(code.end(line[index - 1]), code.end(node), "")


def _whole(code: Code, first: ast.stmt, last: ast.stmt, keep_comments: bool) -> Change:
    comment = code.after(last).strip().lstrip(";").strip()
    if comment and keep_comments:
        return Change(_start(code, first), code.end(last) + len(code.after(last)) - len(comment), "")
    return _lines(code, first, last)


def _start(code: Code, node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([code.start(node), *(code.start(decorator) - 1 for decorator in decorators)])


def _lines(code: Code, top: ast.stmt, bottom: ast.stmt) -> Change:
    """All lines of statements, and the blank one below where one stands above too."""
    first = min([top.lineno, *(decorator.lineno for decorator in getattr(top, "decorator_list", []))])
    last = (bottom.end_lineno or bottom.lineno) + 1
    cell = code.cell(first)
    is_top = first == (cell.first_line if cell else 1)
    below = cell is None or last < cell.first_line + cell.lines
    if (
        below
        and last < len(code.source.lines)
        and _is_blank(code, last)
        and (is_top or _is_blank(code, first - 1))
    ):
        last += 1
    return Change(code.line_start(first), code.line_start(last), "")


def _is_blank(code: Code, line: int) -> bool:
    return not code.source.line(line).strip()
