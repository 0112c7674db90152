"""Which variables of a function hold what one user sent: its parameters, the request, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from turnlane.checker.python.evaluate import Evaluator
from turnlane.checker.python.facts import (
    Attribute,
    Awaited,
    CallRef,
    Choice,
    Element,
    Entered,
    Expression,
    Items,
    Name,
    Other,
    Scope,
    Starred,
    Subscript,
    Text,
    Unpacked,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.values import External

CARRIERS: Final = frozenset({"flask.request", "flask.session", "quart.request", "quart.session", "bottle.request"})
"""Objects outside the project that stand for the current request."""

CONNECTION: Final = re.compile(
    r"(?i)^(ws|websocket|web_socket|socket|sock|conn|connection|client|queue|writer|sid)s?$"
)
"""Names of what a server keeps of its callers beside what they say."""


def request_names(frame: Frame, evaluator: Evaluator) -> frozenset[str]:
    """The variables of a function that hold something of the request it serves."""
    scope = frame.scope
    known = {parameter.name for parameter in scope.parameters if _carries(parameter.name, frame)}
    known |= {name for name in _outside_names(scope) if _is_carrier(name, frame, evaluator)}
    for _ in range(4):  # a chain of local variables is short
        more = {
            assignment.target.id
            for assignment in scope.assignments
            if isinstance(assignment.target, Name)
            and assignment.target.id not in known
            and mentions(assignment.value, scope, known)
        }
        if not more:
            break
        known |= more
    return frozenset(known)


def _carries(name: str, frame: Frame) -> bool:
    """Whether a parameter holds what the user sent, rather than the object or a connection."""
    parameters = frame.scope.parameters
    is_first = bool(parameters) and parameters[0].name == name
    if is_first and frame.receiver is not None:
        return False
    return not CONNECTION.match(name) and name not in {"self", "cls"}


def _outside_names(scope: Scope) -> Iterator[str]:
    return (read.name for read in scope.reads)


def _is_carrier(name: str, frame: Frame, evaluator: Evaluator) -> bool:
    if name not in {"request", "session"}:
        return False
    return any(
        isinstance(ref.value, External) and ref.value.name in CARRIERS for ref in evaluator.name(name, frame)
    )


def mentions(expression: Expression, scope: Scope, names: set[str] | frozenset[str]) -> bool:
    """Whether an expression is made of one of the variables."""
    return any(name in names for name in names_in(expression, scope))


def names_in(expression: Expression, scope: Scope, depth: int = 0) -> Iterator[str]:
    """The variables that an expression reads, also in the arguments of its calls."""
    if depth > 12:
        return
    match expression:
        case Name(id=name):
            yield name
        case CallRef(number=number):
            call = scope.calls[number]
            for part in (call.callee, *call.arguments, *(value for _, value in call.keywords)):
                yield from names_in(part, scope, depth + 1)
        case Attribute(base=base) | Starred(base=base):
            yield from names_in(base, scope, depth + 1)
        case Awaited(value=inner):
            yield from names_in(inner, scope, depth + 1)
        case Element(of=inner) | Entered(of=inner) | Unpacked(of=inner):
            yield from names_in(inner, scope, depth + 1)
        case Subscript(base=base, key=key):
            yield from names_in(base, scope, depth + 1)
            yield from names_in(key, scope, depth + 1)
        case Items(values=values, keys=keys):
            for part in (*values, *keys):
                yield from names_in(part, scope, depth + 1)
        case Choice(options=parts) | Text(parts=parts) | Other(parts=parts):
            for part in parts:
                yield from names_in(part, scope, depth + 1)
        case _:
            return
