"""How a program tries again: loops around a `try`, and decorators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from turnlane.checker.libraries.effects import effect
from turnlane.checker.python.explore import Route, symbol_of
from turnlane.checker.python.facts import Block, Call, CallRef, Expression, Scope
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import Project

CATCH_ALL = frozenset({"Exception", "BaseException"})
LOOPS = frozenset({"for", "while"})


class RetryLoop(NamedTuple):
    """A loop that runs its body again after an exception, and ends when the body succeeds."""

    loop: int
    attempt: int
    """The block of the `try`."""
    catches_all: bool


class RetryDecorator(NamedTuple):
    """A decorator that calls the function again after an exception."""

    symbol: str
    call: Call | None
    frame: Frame
    """Where the decorator stands."""


def retry_loop(view: ModuleView, scope: Scope, call: Call) -> RetryLoop | None:
    """The retry loop around a call; None when the loop around it does something else.

    A loop over other things goes on after a success; a retry leaves: with `return` or `break` after the call.
    """
    around = list(view.blocks_around(scope, call.block))
    attempt = next((one for one in around if scope.blocks[one].kind == "try"), None)
    loop = next((one for one in around if scope.blocks[one].kind in LOOPS), None)
    if attempt is None or loop is None or around.index(attempt) > around.index(loop):
        return None
    if not _ends_on_success(view, scope, attempt, call.span.line):
        return None
    handlers = [
        (number, one)
        for number, one in enumerate(scope.blocks)
        if one.kind == "except" and one.partner == attempt and _goes_round(view, scope, number)
    ]
    if not handlers:
        return None
    return RetryLoop(loop, attempt, any(catches_all(one) for _, one in handlers))


def _ends_on_success(view: ModuleView, scope: Scope, attempt: int, line: int) -> bool:
    """Whether the `try` body, or its `else`, ends the function or the loop once the call has succeeded.

    A `break` before the call is something else: the user said goodbye.
    """
    good = {
        attempt,
        *(n for n, one in enumerate(scope.blocks) if one.kind == "else of try" and one.partner == attempt),
    }

    def inside(block: int) -> bool:
        return any(one in good for one in view.blocks_around(scope, block))

    return any(one.span.end_line >= line and inside(one.block) for one in scope.results) or any(
        jump.kind == "break" and jump.line > line and inside(jump.block) for jump in scope.jumps
    )


def _goes_round(view: ModuleView, scope: Scope, handler: int) -> bool:
    """Whether the `except` branch comes to its end, or continues the loop, on some way.

    `if attempt == last: raise` is a retry all the same: what counts is what stands in the branch itself.
    """
    ends = [one.block for one in scope.results] + [one.block for one in scope.raises]
    ends += [jump.block for jump in scope.jumps if jump.kind == "break"]
    return handler not in ends


def catches_all(block: Block) -> bool:
    """Whether an `except` catches every error of a run."""
    return not block.subject or any(getattr(one, "id", "") in CATCH_ALL for one in block.subject)


def retry_decorators(project: Project, route: Route) -> Iterator[RetryDecorator]:
    """The decorators of a function that call it again."""
    scope = route.frame.scope
    if not scope.decorators:
        return
    around = project.evaluator.around(route.frame)
    for decorator in scope.decorators:
        call = around.scope.calls[decorator.number] if isinstance(decorator, CallRef) else None
        what: Expression = call.callee if call is not None else decorator
        for ref in project.evaluator.evaluate(what, around):
            symbol = symbol_of(ref)
            known = effect(symbol)
            if known is not None and known.kind == "retries":
                yield RetryDecorator(symbol, call, around)
