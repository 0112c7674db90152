"""Event loops in a program: where one is driven, where it came from, and who asked first whether one runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.libraries.effects import EFFECTS
from turnlane.checker.python.explore import Route, Site
from turnlane.checker.python.facts import (
    Assignment,
    Attribute,
    Block,
    Call,
    CallRef,
    Choice,
    Expression,
    Name,
    Scope,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import Program
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import Instance, Method, symbol_of

LOOP: Final = "asyncio.AbstractEventLoop"

RUNNERS: Final = frozenset(row.symbol for row in EFFECTS if row.kind == "runs loop")
"""What drives a loop until its argument is done."""

FOREVER: Final = f"{LOOP}.run_forever"

PATCHERS: Final = frozenset(
    name for row in EFFECTS if row.kind == "patches loop" for name in (row.symbol, f"builtins.{row.symbol}")
)
"""Also where the import is missing: in notebooks whose cells were moved."""

_ASKERS: Final = frozenset({"get_running_loop", "_get_running_loop", "is_running", "current_async_library"})
"""Calls by which a function learns whether a loop runs."""

_WRAPPERS: Final = frozenset({"asyncio.wait_for", "asyncio.gather", "asyncio.shield", "asyncio.ensure_future"})

_NO_LOOP: Final = frozenset({"RuntimeError", "Exception", "BaseException"})
"""What a handler catches to learn that there is no loop, or that one runs."""


def called_name(call: Call) -> str:
    """The last name of what a call calls: `run` of `asyncio.run(...)`."""
    match call.callee:
        case Attribute(name=name) | Name(id=name):
            return name
        case _:
            return ""


# --- Guards -------------------------------------------------------------------------------------------------


def runs_where_a_loop_runs(site: Site) -> bool:
    """Whether the call stands in the branch of `if loop.is_running():` that is taken when one runs."""
    scope = site.scope
    for block in site.blocks():
        if block.kind == "if" and len(block.subject) == 1:
            test = block.subject[0]
            if isinstance(test, CallRef) and called_name(scope.calls[test.number]) == "is_running":
                return True
    return False


def asks(frame: Frame) -> bool:
    """Whether a function looks whether a loop runs."""
    return any(called_name(call) in _ASKERS for call in frame.scope.calls)


def caught(site: Site) -> bool:
    """Whether a `try` around the call has an `except RuntimeError`: there another way is taken."""
    return _caught(site.scope, list(site.blocks()))


def _caught(scope: Scope, around: list[Block]) -> bool:
    bodies = {number for number, block in enumerate(scope.blocks) if block in around and block.kind == "try"}
    return any(
        block.kind == "except" and block.partner in bodies and catches(block, frozenset({"RuntimeError"}))
        for block in scope.blocks
    )


def catches(block: Block, names: frozenset[str] = _NO_LOOP) -> bool:
    """Whether an `except` catches one of the exceptions; one without types catches all."""
    types = [last for subject in block.subject for last in _last_names(subject)]
    return not types or any(name in names for name in types)


def _last_names(expression: Expression) -> Iterator[str]:
    match expression:
        case Name(id=name) | Attribute(name=name):
            yield name
        case _:
            for part in getattr(expression, "values", ()):
                yield from _last_names(part)


def falls_back(frame: Frame, number: int) -> bool:
    """Whether `get_event_loop()` stands in a `try` whose `except` deals with there being none."""
    scope = frame.scope
    around = set(frame.view.blocks_around(scope, scope.calls[number].block))
    return any(
        block.kind == "except" and block.partner in around and catches(block)
        for block in scope.blocks
        if block.partner >= 0
    )


# --- Where a loop came from ---------------------------------------------------------------------------------


class Maker(NamedTuple):
    """The call that gave a loop."""

    symbol: str
    frame: Frame
    number: int

    @property
    def call(self) -> Call:
        return self.frame.scope.calls[self.number]


def makers_of(project: Project, site: Site) -> list[Maker]:
    """The calls that gave the loop whose method a site calls; empty when that is not known."""
    return [
        maker
        for ref in site.targets
        if isinstance(ref.value, Method)
        for maker in makers_of_object(project, ref.value.receiver.value)
    ]


def makers_of_object(project: Project, loop: object) -> list[Maker]:
    """The calls that gave this loop."""
    if not isinstance(loop, Instance) or loop.frame is None or loop.call < 0:
        return []
    callee = loop.frame.scope.calls[loop.call].callee
    return [
        Maker(symbol, loop.frame, loop.call)
        for ref in project.evaluator.evaluate(callee, loop.frame)
        if (symbol := symbol_of(ref))
    ]


def sets_loop(scope: Scope) -> bool:
    """Whether a function gives its thread a loop."""
    return any(called_name(call) == "set_event_loop" for call in scope.calls)


def lies_in_loop(site: Site) -> bool:
    """Whether the call is repeated by a loop statement around it."""
    return any(block.kind in {"for", "while", "async for"} for block in site.blocks())


# --- Who drives ----------------------------------------------------------------------------------------------


class Drive(NamedTuple):
    """A call that drives a loop, on the way to something that runs in it."""

    route: Route
    number: int
    symbol: str

    @property
    def call(self) -> Call:
        return self.route.frame.scope.calls[self.number]

    @property
    def place(self) -> tuple[str, int, int]:
        """Path, scope and number: what all ways to this call share."""
        return (*self.route.frame.place, self.number)


def drives_of(project: Project, site: Site) -> Iterator[Drive]:
    """Each `asyncio.run` that runs the coroutine which a site makes, or leads to: the innermost on every way."""
    waiting, seen = [(site.route, site.number)], {(site.frame, site.number)}
    while waiting:
        route, number = waiting.pop()
        found = _runner_around(project, route, number)
        if found is not None:
            yield found
            continue
        for arrival in project.exploration.arrivals.get((route.frame, route.situation), ()):
            previous = arrival.previous
            if previous is not None and (previous.frame, arrival.call) not in seen:
                seen.add((previous.frame, arrival.call))
                waiting.append((previous, arrival.call))


def _runner_around(project: Project, route: Route, number: int) -> Drive | None:
    """The runner that is given the result of a call, straight or through `wait_for` and a variable."""
    scope = route.frame.scope
    for _ in range(6):
        call = scope.calls[number]
        if call.use == "assigned" and call.user >= 0:
            user = _user_of_variable(scope, scope.assignments[call.user])
        else:
            user = call.user if call.use == "argument" else -1
        if user < 0:
            return None
        symbols = {symbol_of(ref) for ref in project.evaluator.evaluate(scope.calls[user].callee, route.frame)}
        runner = next((symbol for symbol in symbols if symbol in RUNNERS), "")
        if runner or called_name(scope.calls[user]) == "run_until_complete":
            return Drive(route, user, runner or f"{LOOP}.run_until_complete")
        if not symbols & _WRAPPERS:
            return None
        number = user
    return None


def _user_of_variable(scope: Scope, assignment: Assignment) -> int:
    """The call that is given a coroutine kept in a variable: `task = main(); asyncio.run(task)`."""
    if not isinstance(assignment.target, Name):
        return -1
    name = assignment.target.id
    return next((read.user for read in scope.reads if read.name == name and read.use == "argument"), -1)


# --- Patched loops ---------------------------------------------------------------------------------------------


def patched_files(project: Project) -> frozenset[str]:
    """The files whose process has a loop that `nest_asyncio` patched: there a nested run does not fail."""
    applied = {site.path for site in project.calls_of(PATCHERS)}
    if not applied:
        return frozenset()
    found: set[str] = set()
    for path in applied:
        imports = _imports_of(project.program)
        above = _closure({path}, project.program.imported_by)
        found |= _closure(above, imports)
    return frozenset(found)


def _imports_of(program: Program) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for imported, importers in program.imported_by.items():
        for importer in importers:
            found.setdefault(importer, set()).add(imported)
    return found


def _closure(start: set[str], edges: dict[str, set[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def options(expression: Expression) -> Iterator[Expression]:
    """The alternatives of an expression."""
    if isinstance(expression, Choice):
        for option in expression.options:
            yield from options(option)
    else:
        yield expression


# --- Missing loops ---------------------------------------------------------------------------------------------


def missing_loops(project: Project) -> Iterator[Site]:
    """Calls that ask for a loop on a thread that has none."""
    for site in project.calls_of(("asyncio.get_event_loop", "asyncio.get_running_loop")):
        situation = site.situation
        alone = situation.thread or (situation.host == "Streamlit" and situation.kind in {"page", "session"})
        if situation.loop is not False or not alone or site.scope.is_async or _is_guarded(site):
            continue
        maker = Maker(symbol_of(site.targets[0]), site.frame, site.number)
        if not has_loop(site.route, maker):
            yield site


def _is_guarded(site: Site) -> bool:
    """Whether it only looks: the function that asks, or the one that calls it, deals with the refusal."""
    if falls_back(site.frame, site.number):
        return True
    previous = site.route.previous
    return previous is not None and falls_back(previous.frame, site.route.call)


def has_loop(route: Route, maker: Maker) -> bool:
    """Whether the thread surely has a loop when `get_event_loop()` is called, or its lack is dealt with."""
    if falls_back(maker.frame, maker.number):
        return True
    frames = [step.frame for step in route.steps() if step.frame is not maker.frame]
    return _was_set(maker) or any(sets_loop(frame.scope) for frame in frames)


def _was_set(maker: Maker) -> bool:
    """Whether the function itself set a loop, on every way to the call."""
    scope = maker.frame.scope
    around = set(maker.frame.view.blocks_around(scope, maker.call.block))
    return any(
        called_name(call) == "set_event_loop" and call.block in around for call in scope.calls[: maker.number]
    )


def has_other_loop(project: Project, drive: Drive) -> bool:
    """Whether each run has a loop of its own: not when one loop is kept outside of the function for all."""
    if drive.symbol != f"{LOOP}.run_until_complete":
        return drive.symbol != "asyncio.Runner.run"
    callee = drive.call.callee
    if not isinstance(callee, Attribute):
        return False
    refs = project.evaluator.evaluate(callee.base, drive.route.frame)
    makers = [maker for ref in refs for maker in makers_of_object(project, ref.value)]
    return any(
        maker.symbol.endswith("new_event_loop") and maker.frame is drive.route.frame for maker in makers
    ) and not any(ref.shared or ref.lifetime == "session" for ref in refs)
