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
        changes += [_deletion(code, node, body, keep_comments) for node in gone]
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


def _deletion(code: Code, node: ast.stmt, body: list[ast.stmt], keep_comments: bool) -> Change:
    index = body.index(node)
    follower = body[index + 1] if index + 1 < len(body) else None
    if follower is not None and follower.lineno == (node.end_lineno or node.lineno):
        return Change(_start(code, node), code.start(follower), "")
    if code.before(node).strip():  # after a `;`
        return Change(code.end(body[index - 1]), code.end(node), "")
    comment = code.after(node).strip().lstrip(";").strip()
    if comment and keep_comments:
        return Change(_start(code, node), code.end(node) + len(code.after(node)) - len(comment), "")
    return _lines(code, node)


def _start(code: Code, node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([code.start(node), *(code.start(decorator) - 1 for decorator in decorators)])


def _lines(code: Code, node: ast.stmt) -> Change:
    """All lines of a statement, and the blank one below where one stands above too."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    last = (node.end_lineno or node.lineno) + 1
    cell = code.cell(first)
    top = first == (cell.first_line if cell else 1)
    below = cell is None or last < cell.first_line + cell.lines
    if below and last < len(code.source.lines) and _is_blank(code, last) and (top or _is_blank(code, first - 1)):
        last += 1
    return Change(code.line_start(first), code.line_start(last), "")


def _is_blank(code: Code, line: int) -> bool:
    return not code.source.line(line).strip()
