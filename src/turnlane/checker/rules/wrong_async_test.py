"""TL111 in Python: a function is asked for what only a coroutine has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker import edits
from turnlane.checker.finding import Finding
from turnlane.checker.python.facts import (
    Attribute,
    Call,
    CallRef,
    Choice,
    Constant,
    Expression,
    Name,
    Scope,
    Subscript,
)
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import code_of

_OF_RESULTS: Final = frozenset({"iscoroutine", "isawaitable"})


class WrongAsyncTest(Rule):
    code = "TL111"
    language = "python"
    detects = (
        '`hasattr(fn, "__await__")`, `asyncio.iscoroutine(fn)` and `inspect.isawaitable(fn)`, when the code '
        "then calls `fn`. Asking them about what a call returned is right."
    )
    fixes = "`inspect.iscoroutinefunction(fn)` for the `hasattr`: safe."
    bad = (
        Example(
            """\
import logging


async def call(fn, *args):
    if hasattr(fn, "__await__"):  # here
        return await fn(*args)
    return fn(*args)
""",
            after="""\
import inspect
import logging


async def call(fn, *args):
    if inspect.iscoroutinefunction(fn):
        return await fn(*args)
    return fn(*args)
""",
            title="a branch",
        ),
        Example(
            """\
class Dispatcher:
    async def call(self, text):
        return await self.handler(text) if hasattr(self.handler, "__await__") else self.handler(text)  # here
""",
            title="in an expression",
        ),
        Example(
            """\
import asyncio


async def call(handlers, name):
    handler = handlers[name]
    if asyncio.iscoroutine(handler):  # here
        await handler()
    else:
        handler()
""",
            title="iscoroutine of a function",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import inspect


async def call(fn, *args):
    result = fn(*args)
    if hasattr(result, "__await__"):
        return await result
    return result


async def either(value):
    if asyncio.iscoroutine(value):
        return await value
    if callable(value):
        return value()
    return value


async def ask(fn):
    return await fn() if inspect.iscoroutinefunction(fn) else fn()
""",
            title="asked about results",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for path, view in project.program.modules.items():
            for scope in view.scopes:
                for number, call in enumerate(scope.calls):
                    if (asked := _asked(call)) is not None and _is_called_then(view, scope, number, asked):
                        code = code_of(project, path)
                        yield Finding(
                            self.code,
                            project.place(path, call.span),
                            f"{_question(call)} is False for every function, async ones too: "
                            f"`{_text(asked)}` is then called as if it were sync",
                            "error",
                            fix=edits.coroutine_test(code, call.span) if code is not None else None,
                        )


def _asked(call: Call) -> Expression | None:
    """What is asked whether it is awaitable; None when the call asks something else."""
    if not call.arguments or not isinstance(call.arguments[0], Name | Attribute | Subscript):
        return None
    match call.callee:
        case Name(id="hasattr") if len(call.arguments) == 2:
            subject, attribute = call.arguments
            return subject if isinstance(attribute, Constant) and attribute.value == "__await__" else None
        case Attribute(base=Name(id="asyncio" | "inspect"), name=name) | Name(id=name) if name in _OF_RESULTS:
            return call.arguments[0]
        case _:
            return None


def _is_called_then(view: ModuleView, scope: Scope, number: int, asked: Expression) -> bool:
    """Whether the answer yes leads to a call of what was asked about."""
    calls = [call for call in scope.calls if call.callee == asked and type(call.callee) is type(asked)]
    if not calls:
        return False
    branches = {
        index
        for index, block in enumerate(scope.blocks)
        if block.kind == "if" and any(_holds(subject, number) for subject in block.subject)
    }
    if not branches:
        name = getattr(asked, "id", "")
        awaited_itself = any(read.name == name and read.use == "awaited" for read in scope.reads)
        line = scope.calls[number].span
        near = (call for call in calls if line.line - 1 <= call.span.line <= line.end_line + 1)
        return not awaited_itself and any(call.use == "awaited" for call in near)
    return any(branches & set(view.blocks_around(scope, call.block)) for call in calls)


def _holds(test: Expression, number: int) -> bool:
    """Whether a test is that call, or `and`s it with others."""
    match test:
        case CallRef(number=found):
            return found == number
        case Choice(options=options):
            return any(_holds(option, number) for option in options)
        case _:
            return False


def _question(call: Call) -> str:
    match call.callee:
        case Attribute(name=name) | Name(id=name) if name in _OF_RESULTS:
            return f"`{name}`"
        case _:
            return '`hasattr(..., "__await__")`'


def _text(expression: Expression) -> str:
    match expression:
        case Name(id=name):
            return name
        case Attribute(base=base, name=name):
            return f"{_text(base)}.{name}"
        case Subscript(base=base):
            return f"{_text(base)}[...]"
        case _:
            return "it"
