"""Which `except` meets an exception inside one function."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Final

from turnlane.checker.python.facts import Attribute, Block, CallRef, Expression, Items, Name, Raise, Scope
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.retries import catches_all

_SUPPRESSING: Final = frozenset({"suppress", "raises"})


def plain_name(expression: Expression) -> str:
    """The last name of what is written: `RequestException` of `requests.exceptions.RequestException`."""
    return expression.id if isinstance(expression, Name) else getattr(expression, "name", "")


def raised_name(one: Raise, scope: Scope) -> str:
    """The class that a `raise` names; empty for a bare one, and where a variable is raised."""
    value = one.value
    if isinstance(value, CallRef):
        value = scope.calls[value.number].callee
    name = plain_name(value) if isinstance(value, Name | Attribute) else ""
    return name if name[:1].isupper() else ""


def escapes(view: ModuleView, scope: Scope, block: int, raised: str) -> bool:
    """Whether an exception of the class `raised` (empty: unknown) in `block` is sure to leave the function."""
    around = list(view.blocks_around(scope, block))
    for number in around:
        one = scope.blocks[number]
        if one.kind == "try" and any(_may_catch(handler, raised) for handler in handlers(scope, number)):
            return False
        if one.kind in {"with", "async with"} and any(_suppresses(subject, scope) for subject in one.subject):
            return False
    return True


def handlers(scope: Scope, attempt: int) -> Iterator[Block]:
    """The `except` branches of a `try`."""
    return (block for block in scope.blocks if block.kind == "except" and block.partner == attempt)


def _may_catch(handler: Block, raised: str) -> bool:
    if catches_all(handler):
        return True
    names = [plain_name(part) for one in handler.subject for part in _parts(one)]
    return any(_is_kind_of(raised, name) for name in names)


def _parts(expression: Expression) -> tuple[Expression, ...]:
    return expression.values if isinstance(expression, Items) else (expression,)


def _is_kind_of(raised: str, caught: str) -> bool:
    """Whether an `except caught` may meet `raised`; of classes that are not built in only the names are known."""
    if not raised or raised == caught or not caught:
        return True
    child, parent = getattr(builtins, raised, None), getattr(builtins, caught, None)
    if isinstance(child, type):
        # A class that the program defines catches no built-in exception, unless it stands for a tuple of them.
        return issubclass(child, parent) if isinstance(parent, type) else caught.isupper()
    return True


def _suppresses(subject: Expression, scope: Scope) -> bool:
    return isinstance(subject, CallRef) and plain_name(scope.calls[subject.number].callee) in _SUPPRESSING
