"""Where runs start: the functions that frameworks, hosts and people call, and the top levels of files."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from turnlane.checker.libraries import hosts
from turnlane.checker.libraries.host_tables import REGISTRATIONS
from turnlane.checker.libraries.hosts import Context, Registration
from turnlane.checker.python.evaluate import Evaluator
from turnlane.checker.python.facts import (
    Attribute,
    Call,
    CallRef,
    Constant,
    Expression,
    Import,
    Items,
    Scope,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView, Program
from turnlane.checker.python.situations import Situation
from turnlane.checker.python.values import External, FunctionObject, Ref, symbol_of


class Entry(NamedTuple):
    """One start."""

    frame: Frame
    situation: Situation
    name: str
    """For messages: `chat`; empty for a library function that nobody calls."""
    only_blocks: frozenset[int] | None
    """The blocks of a module's top level that run in this situation; None: all of the frame."""
    registration: Registration | None = None


def entries_of(program: Program, evaluator: Evaluator) -> Iterator[Entry]:
    """All entry points; the top levels come last, since a handler found there matters more than its import."""
    mark_pages(program, evaluator)
    for path, view in program.modules.items():
        yield from _registered(view, evaluator)
        yield from _subclassed(view, evaluator)
        yield from _named(path, view, evaluator)
    for path, view in program.modules.items():
        yield from _top_level(path, view, evaluator)


def mark_pages(program: Program, evaluator: Evaluator) -> None:
    """Find the modules that a host runs from top to bottom for each user: Streamlit's main scripts.

    A module that another one imports is kept between runs, as Python keeps it.
    """
    packages = tuple(row.symbol for row in hosts.module_rows())
    for path, view in program.modules.items():
        if _imports(view, packages) and not program.imported_by.get(path) and _uses_at_top(view, packages):
            evaluator.per_run_modules.add(path)


def _imports(view: ModuleView, packages: tuple[str, ...]) -> bool:
    return any(_package(item) in packages for item in view.module.imports)


def _package(item: Import) -> str:
    return item.module.partition(".")[0]


def _uses_at_top(view: ModuleView, packages: tuple[str, ...]) -> bool:
    """Whether the script itself shows something, or calls a function of the file that may."""
    locals_ = {item.local for item in view.module.imports if _package(item) in packages}
    return any(read.name in locals_ for scope in view.scopes for read in scope.reads) and bool(
        view.scopes[0].calls
    )


# --- Registered functions ------------------------------------------------------------------------------------


def _registered(view: ModuleView, evaluator: Evaluator) -> Iterator[Entry]:
    for scope in view.scopes:
        if scope.kind == "function" and scope.decorators:
            yield from _decorated(view, scope, evaluator)
        elif scope.kind == "class" and scope.decorators:
            yield from _decorated_class(view, scope, evaluator)
        yield from _handed_over(view, scope, evaluator)


def _decorated(view: ModuleView, scope: Scope, evaluator: Evaluator) -> Iterator[Entry]:
    function, around = _function(view, scope, evaluator)
    for decorator in scope.decorators:
        for row in _rows_of(decorator, around, evaluator, "decorator"):
            yield _entry(function, row, evaluator)


def _function(view: ModuleView, scope: Scope, evaluator: Evaluator) -> tuple[FunctionObject, Frame]:
    frame = evaluator.free_frame(view.path, scope.number)
    around = evaluator.around(frame)
    closure = around if view.scopes[scope.parent].kind in {"function", "lambda"} else None
    return evaluator.function_object(view.path, scope.number, frame.receiver, closure), around


def _rows_of(decorator: Expression, around: Frame, evaluator: Evaluator, how: str) -> list[Registration]:
    """The registrations that a decorator makes, with or without a call."""
    call = around.scope.calls[decorator.number] if isinstance(decorator, CallRef) else None
    what = call.callee if call is not None else decorator
    found: list[Registration] = []
    for ref in evaluator.evaluate(what, around):
        found += [row for row in hosts.by_symbol(symbol_of(ref)) if row.how == how]
    if not found and call is not None and how == "decorator" and isinstance(what, Attribute):
        first = call.arguments[0].value if call.arguments and isinstance(call.arguments[0], Constant) else None
        context = hosts.route_by_shape(what.name, first)
        if context is not None:
            found.append(hosts.Registration(what.name, "decorator", (), context))
    return found


def _decorated_class(view: ModuleView, scope: Scope, evaluator: Evaluator) -> Iterator[Entry]:
    around = evaluator.around(evaluator.free_frame(view.path, scope.number))
    for decorator in scope.decorators:
        for row in _rows_of(decorator, around, evaluator, "class decorator"):
            yield from _methods(view, scope, row, evaluator)


def _handed_over(view: ModuleView, scope: Scope, evaluator: Evaluator) -> Iterator[Entry]:
    """Functions given to a call: `gr.ChatInterface(fn=chat)`, `app.add_api_route("/chat", chat)`."""
    frame: Frame | None = None
    classes = evaluator.program.class_names
    for call in scope.calls:
        by_hand = isinstance(call.callee, CallRef) and len(call.arguments) == 1
        if not by_hand and not _may_register(call, view, classes):
            continue
        if frame is None:
            frame = (
                evaluator.free_frame(view.path, scope.number)
                if scope.number
                else evaluator.module_frame(view.path)
            )
        if by_hand:
            yield from _decorated_by_hand(call, frame, evaluator)
            continue
        for ref in evaluator.evaluate(call.callee, frame):
            for row in hosts.by_symbol(symbol_of(ref)):
                if row.how == "argument":
                    yield from handed_to(row, call, frame, evaluator)


def handed_to(row: Registration, call: Call, frame: Frame, evaluator: Evaluator) -> Iterator[Entry]:
    """The functions that a call hands to a host."""
    for function in _functions_in(row, call, frame, evaluator):
        yield _entry(function, row, evaluator)


def _decorated_by_hand(call: Call, frame: Frame, evaluator: Evaluator) -> Iterator[Entry]:
    """`agent.register_for_llm(description="...")(look_up)`"""
    rows = _rows_of(call.callee, frame, evaluator, "decorator")
    if rows:
        for function in _function_values(evaluator.evaluate(call.arguments[0], frame), evaluator):
            for row in rows:
                yield _entry(function, row, evaluator)


def _may_register(call: Call, view: ModuleView, classes: frozenset[str]) -> bool:
    """Whether any row could know the callee, by its name: looked at before its type is worked out."""
    last = call.callee.name if isinstance(call.callee, Attribute) else getattr(call.callee, "id", "")
    return last in _registering_names() or last in classes or last in _aliases(view)


def _aliases(view: ModuleView) -> frozenset[str]:
    """Other names that the file's imports give to what registers."""
    if view.aliases is None:
        names = _registering_names()
        view.aliases = frozenset(
            item.local for item in view.module.imports if item.local != item.name and item.name in names
        )
    return view.aliases


@cache
def _registering_names() -> frozenset[str]:
    return frozenset(row.symbol.rpartition(".")[2] for row in REGISTRATIONS if row.how == "argument")


def _functions_in(row: Registration, call: Call, frame: Frame, evaluator: Evaluator) -> Iterator[FunctionObject]:
    for place in row.where:
        if isinstance(place, int):
            given = [call.arguments[place]] if place < len(call.arguments) else []
        else:
            given = [value for name, value in call.keywords if name == place]
        for expression in given:
            parts = expression.values if isinstance(expression, Items) else (expression,)
            for part in parts:
                yield from _function_values(evaluator.evaluate(part, frame), evaluator)


def _function_values(refs: tuple[Ref, ...], evaluator: Evaluator) -> Iterator[FunctionObject]:
    for ref in refs:
        if isinstance(ref.value, FunctionObject):
            yield ref.value
        else:
            for item in evaluator.elements((ref,)):
                if isinstance(item.value, FunctionObject):
                    yield item.value


def _entry(function: FunctionObject, row: Registration, evaluator: Evaluator) -> Entry:
    frame = evaluator.function_frame(function)
    return Entry(frame, situation_of(row.context, frame.scope), frame.scope.qualname, None, row)


def situation_of(context: Context, scope: Scope) -> Situation:
    """Where the host runs this function."""
    where = context.asynchronous if scope.is_async else context.sync
    loop = where in {"loop", "own loop"}
    return Situation(context.host, context.kind, loop, context.users, thread=where == "threadpool")


# --- Methods and functions that are found by their names -----------------------------------------------------


def _subclassed(view: ModuleView, evaluator: Evaluator) -> Iterator[Entry]:
    for scope in view.scopes:
        if scope.kind != "class" or not scope.bases:
            continue
        cls = evaluator.class_object(view.path, scope.number, None)
        bases = [base.name for base in evaluator.mro(cls) if isinstance(base, External)]
        for row in hosts.subclass_rows():
            if any(_is_base(base, row.symbol) for base in bases):
                yield from _methods(view, scope, row, evaluator)


def _is_base(base: str, symbol: str) -> bool:
    return base.endswith(symbol[1:]) if symbol.startswith("*") else base == symbol


def _methods(view: ModuleView, cls: Scope, row: Registration, evaluator: Evaluator) -> Iterator[Entry]:
    for scope in view.children.get(cls.number, ()):
        if scope.kind == "function" and _matches(scope.name, row):
            function, _ = _function(view, scope, evaluator)
            yield _entry(function, row, evaluator)


def _matches(name: str, row: Registration) -> bool:
    return any(isinstance(pattern, str) and fnmatchcase(name, pattern) for pattern in row.where)


def _named(path: str, view: ModuleView, evaluator: Evaluator) -> Iterator[Entry]:
    for row in hosts.name_rows():
        if row.symbol != "*" and not _imports(view, (row.symbol,)):
            continue
        for scope in view.scopes[1:]:
            if scope.kind == "function" and _matches(scope.name, row) and _fits(path, view, scope, row):
                function, _ = _function(view, scope, evaluator)
                yield _entry(function, row, evaluator)


def _fits(path: str, view: ModuleView, scope: Scope, row: Registration) -> bool:
    """A name that means something only to a certain host needs more than the name."""
    if row.context.kind == "test":
        file = path.rpartition("/")[2]
        return file.startswith("test_") or file.endswith("_test.py")
    if view.scopes[scope.parent].kind != "module" and row.symbol == "*":
        return False
    names = [parameter.name for parameter in scope.parameters]
    return not row.parameters or [name.lstrip("_") for name in names] == list(row.parameters)


# --- Top levels ----------------------------------------------------------------------------------------------


def _top_level(path: str, view: ModuleView, evaluator: Evaluator) -> Iterator[Entry]:
    frame = evaluator.module_frame(path)
    if path in evaluator.per_run_modules:
        yield Entry(frame, _page(view), "", None)
        return
    if view.module.kind == "notebook":
        yield Entry(frame, Situation("notebook", "cell", True, "one"), "", None)
        return
    guarded = view.guarded_blocks
    everything = frozenset(range(len(view.scopes[0].blocks)))
    if guarded:
        yield Entry(frame, Situation("", "script", False, "one"), "__main__", guarded)
    yield Entry(frame, Situation("", "import", False, "one"), "", everything - guarded)


def _page(view: ModuleView) -> Situation:
    """Where a script runs that its host runs anew for each user."""
    row = next(row for row in hosts.module_rows() if _imports(view, (row.symbol,)))
    return Situation(row.context.host, "page", row.context.sync == "loop", row.context.users)
