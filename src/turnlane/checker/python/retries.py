"""How a program tries again: loops around a `try`, and decorators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from turnlane.checker.libraries.effects import effect
from turnlane.checker.python.explore import Route
from turnlane.checker.python.facts import Block, Call, CallRef, Expression, Name, Scope
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import Project
from turnlane.checker.python.request_data import mentions
from turnlane.checker.python.values import symbol_of

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
    if not _ends_on_success(view, scope, around, call):
        return None
    handlers = [
        (number, one)
        for number, one in enumerate(scope.blocks)
        if one.kind == "except" and one.partner == attempt and _goes_round(view, scope, number)
    ]
    if not handlers:
        return None
    return RetryLoop(loop, attempt, any(catches_all(one) and not _decides(view, scope, n) for n, one in handlers))


def _ends_on_success(view: ModuleView, scope: Scope, around: list[int], call: Call) -> bool:
    """Whether the `try` body, or its `else`, ends the function or the loop once the call has succeeded.

    A `break` before the call, or in a branch that the call's result does not choose, is something else: the
    user said goodbye.
    """
    attempt = next(one for one in around if scope.blocks[one].kind == "try")
    good = {
        attempt,
        *(n for n, one in enumerate(scope.blocks) if one.kind == "else of try" and one.partner == attempt),
    }
    results = _results_of(scope, call)

    def follows(block: int) -> bool:
        """Whether the success of the call leads into the block."""
        for one in view.blocks_around(scope, block):
            if one in good or one in around:
                return any(number in good for number in view.blocks_around(scope, block))
            if scope.blocks[one].kind in {"if", "else"} and not any(
                mentions(test, scope, results) for test in scope.blocks[one].subject
            ):
                return False
        return False

    def leaves(block: int) -> bool:
        """Whether a `break` there ends the loop around the `try`, not one inside it."""
        return not any(
            scope.blocks[one].kind in LOOPS | {"async for"} and one not in around
            for one in view.blocks_around(scope, block)
        )

    line = call.span.line
    return any(one.span.end_line >= line and follows(one.block) for one in scope.results) or any(
        jump.kind == "break" and jump.line > line and leaves(jump.block) and follows(jump.block)
        for jump in scope.jumps
    )


def _results_of(scope: Scope, call: Call) -> frozenset[str]:
    """The variables that are set by the call's statement or after it: an `if` on them asks for its success."""
    return frozenset(
        one.target.id
        for one in scope.assignments
        if isinstance(one.target, Name) and one.span.end_line >= call.span.line
    )


def _decides(view: ModuleView, scope: Scope, handler: int) -> bool:
    """Whether the branch looks at the error before it tries again, and lets others go."""
    names = {scope.blocks[handler].name}

    def inside(block: int) -> bool:
        return handler in view.blocks_around(scope, block)

    for one in scope.assignments:
        if isinstance(one.target, Name) and inside(one.block) and mentions(one.value, scope, names):
            names.add(one.target.id)
    ends = [one.block for one in scope.raises] + [one.block for one in scope.results]
    ends += [jump.block for jump in scope.jumps if jump.kind == "break"]
    return any(
        scope.blocks[outer].kind in {"if", "else"}
        and inside(outer)
        and any(mentions(test, scope, names) for test in scope.blocks[outer].subject)
        for end in ends
        for outer in view.blocks_around(scope, end)
    )


def _goes_round(view: ModuleView, scope: Scope, handler: int) -> bool:
    """Whether the `except` branch comes to its end, or continues the loop, on some way.

    `if attempt == last: raise` is a retry all the same: what counts is what stands in the branch itself.
    """
    ends = [one.block for one in scope.results] + [one.block for one in scope.raises]
    ends += [jump.block for jump in scope.jumps if jump.kind == "break"]
    return handler not in ends


def swallowed(view: ModuleView, scope: Scope, block: int) -> bool:
    """Whether an error of a call in `block` is sure to end in its own function: caught, and not raised again."""
    return any(
        scope.blocks[number].kind == "try"
        and any(
            one.kind == "except" and one.partner == number and catches_all(one) and not _passes_on(view, scope, n)
            for n, one in enumerate(scope.blocks)
        )
        for number in view.blocks_around(scope, block)
    )


def _passes_on(view: ModuleView, scope: Scope, handler: int) -> bool:
    """Whether an `except` branch may end in an error: it raises, or does not return and something later raises."""
    returns = any(one.block == handler for one in scope.results)
    return any(
        handler in view.blocks_around(scope, one.block)
        or (not returns and one.span.line > scope.blocks[handler].end_line)
        for one in scope.raises
    )


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
