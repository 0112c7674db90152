"""Which functions of a program lead to an agent's run, and which values are such a run, not yet begun."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from weakref import WeakKeyDictionary

from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.frameworks import ClassEntry, FunctionEntry
from turnlane.checker.libraries.frameworks import Method as MethodEntry
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import CallRef, Expression
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import Coroutine, External, FunctionObject, Method, Stream, Value

Function = tuple[str, int]
"""Path and scope."""

_leading: WeakKeyDictionary[Project, frozenset[Function]] = WeakKeyDictionary()


def leading_to_runs(project: Project) -> frozenset[Function]:
    """The functions in which, or in what they call, an agent or team is run or a model is asked."""
    if project not in _leading:
        _leading[project] = leading_to(project, {call.site.frame.place for call in project.agent_calls})
    return _leading[project]


def leading_to(
    project: Project, places: Collection[Function], follows: Callable[[Site], bool] | None = None
) -> frozenset[Function]:
    """`places` and all functions that call one of them; `follows` says which calls count."""
    callers: dict[Function, set[Function]] = defaultdict(set)
    for site in project.sites:
        for ref in site.targets:
            value = ref.value
            if isinstance(value, FunctionObject) and (follows is None or follows(site)):
                callers[value.path, value.scope].add(site.frame.place)
    found = set(places)
    waiting = list(found)
    while waiting:
        for caller in callers.get(waiting.pop(), ()):
            if caller not in found:
                found.add(caller)
                waiting.append(caller)
    return frozenset(found)


def begins_run(project: Project, expression: Expression, frame: Frame) -> bool:
    """Whether an expression is an agent's run, or a call that is given one: `Console(team.run_stream())`."""
    for ref in project.evaluator.evaluate(expression, frame):
        what = started(ref.value)
        if what is not None and _is_run(project, what):
            return True
    if isinstance(expression, CallRef):
        call = frame.scope.calls[expression.number]
        return any(begins_run(project, argument, frame) for argument in call.arguments)
    return False


def started(value: Value) -> Value | None:
    """The function or method whose call gave a coroutine or a stream; None for anything else."""
    return value.what if isinstance(value, Coroutine | Stream) else None


def known_entry(value: Value) -> MethodEntry | FunctionEntry | None:
    """What the tables say of a method or function of a framework."""
    if isinstance(value, Method):
        entry = frameworks.lookup(value.cls)
        return entry.method(value.name) if isinstance(entry, ClassEntry) else None
    if isinstance(value, External):
        found = frameworks.lookup(value.name)
        return found if isinstance(found, FunctionEntry) else None
    return None


def _is_run(project: Project, what: Value) -> bool:
    if isinstance(what, FunctionObject):
        return (what.path, what.scope) in leading_to_runs(project)
    entry = known_entry(what)
    return entry is not None and entry.runs
