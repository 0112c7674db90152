"""Which `except` caught an exception, and whether it takes everything or one kind of failure."""

from __future__ import annotations

import ast
import functools
import linecache
from dataclasses import dataclass
from typing import Final

from turnlane.guard.stacks import Place, Stack, is_users, of_exception

BROAD: Final = frozenset({"Exception", "BaseException", "BaseExceptionGroup", "ExceptionGroup"})


@dataclass(frozen=True, slots=True)
class Catch:
    """Where an exception was caught.

    Attributes:
        place: the `except`; None when none of the program's caught it: a framework did.
        broad: whether it takes every exception.
    """

    place: Place | None
    broad: bool


def catch_of(error: BaseException, answered: Stack = ()) -> Catch:
    """What caught `error`: its traceback begins in the frame that did.

    Args:
        answered: where the answer was made, when that was while the exception was handled.
    """
    stack = of_exception(error, limit=1000)  # what caught it is the outermost of them
    for code, line in reversed(stack):
        if is_users(code.co_filename):
            handler = _catching(code.co_filename, line, tuple(kind.__name__ for kind in type(error).__mro__))
            if handler is not None:
                return Catch(Place(code.co_filename, handler.lineno, code.co_qualname), _is_broad(handler))
            break
    for code, line in answered:
        if is_users(code.co_filename):
            return Catch(Place(code.co_filename, line, code.co_qualname), False)
    return Catch(None, False)


def _catching(file: str, line: int, kinds: tuple[str, ...]) -> ast.ExceptHandler | None:
    """The handler of the innermost `try` around a line that takes an exception of these kinds."""
    tree = _tree(file)
    if tree is None:
        return None
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar) and _around(node, line)]
    for node in sorted(tries, key=lambda found: found.lineno, reverse=True):
        for handler in node.handlers:
            if _is_broad(handler) or _names(handler.type) & set(kinds):
                return handler
    return None


def _around(node: ast.Try | ast.TryStar, line: int) -> bool:
    return node.body[0].lineno <= line <= (node.body[-1].end_lineno or node.body[-1].lineno)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names(handler.type) & BROAD)


def _names(node: ast.expr | None) -> set[str]:
    """The last parts of the names of exception classes: `openai.APIError`, `(ValueError, KeyError)`."""
    if isinstance(node, ast.Tuple):
        return {name for part in node.elts for name in _names(part)}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    return {node.id} if isinstance(node, ast.Name) else set()


@functools.lru_cache(maxsize=32)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None
