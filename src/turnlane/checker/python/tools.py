"""Which functions a model may call inside a run, and with whom they are registered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from turnlane.checker.libraries.hosts import by_symbol
from turnlane.checker.python.entries import Entry, handed_to
from turnlane.checker.python.facts import Attribute, Call, CallRef, Expression, Name
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.program import ModuleView
from turnlane.checker.python.project import Project, class_entry
from turnlane.checker.python.values import External, FunctionObject, Instance, Method, Ref

AUTOGEN: Final = "AutoGen tool"
HOSTS: Final = frozenset({AUTOGEN, "AG2 tool", "Agent Framework tool"})
"""Hosts of the tables whose functions are tools of an agent; an MCP server's functions serve any program."""

Function = tuple[str, int]
"""Path and scope."""

Made = tuple[tuple[str, int], int]
"""Where an object is made: path and scope, and the call."""

_METHODS: Final = frozenset({"register_for_llm", "register_for_execution"})
_REGISTERS: Final = frozenset({*_METHODS, "register_function"})
_AGENTS: Final = frozenset({"caller", "executor"})


def tools(project: Project, hosts: frozenset[str] = HOSTS) -> Iterator[Entry]:
    """The tools of the program's agents, each once."""
    seen: set[Function] = set()
    for entry in (*project.exploration.entries, *_through_parameters(project)):
        if entry.situation.kind == "tool" and entry.situation.host in hosts and entry.frame.place not in seen:
            seen.add(entry.frame.place)
            yield entry


def _through_parameters(project: Project) -> Iterator[Entry]:
    """Tools that reach the call which registers them as arguments: `make_agent("support", [look_up])`."""
    for symbol, sites in project.exploration.by_symbol.items():
        for row in by_symbol(symbol):
            if row.how == "argument" and row.context.kind == "tool":
                for site in sites:
                    if not site.frame.free:
                        yield from handed_to(row, site.call, site.frame, project.evaluator)


def functions_of(project: Project, ref: Ref) -> set[Function]:
    """The function that a tool is, or is made of: `FunctionTool(look_up, ...)`."""
    value = ref.value
    if isinstance(value, FunctionObject):
        return {(value.path, value.scope)}
    if not isinstance(value, Instance) or value.frame is None or value.call < 0:
        return set()
    entry = class_entry(ref, project.evaluator)
    if entry is None or entry.role != "tool":
        return set()
    call = value.frame.scope.calls[value.call]
    return _functions(project, [*call.arguments[:1], *_named(call, frozenset({"func"}))], value.frame)


def registered_later(project: Project) -> dict[Made, set[Function]]:
    """Classic: the tools that an agent gets after it is made, by where it is made."""
    found: dict[Made, set[Function]] = defaultdict(set)
    for view in project.program.modules.values():
        for scope in view.scopes:
            for decorator in scope.decorators if scope.kind == "function" else ():
                around = project.evaluator.around(project.evaluator.free_frame(view.path, scope.number))
                for agent in _registering(project, decorator, around):
                    _add(found, agent, {(view.path, scope.number)})
            for call in scope.calls:
                if _may_register(call, scope.calls):
                    for agent, functions in _registrations(project, call, _frame(project, view, scope.number)):
                        _add(found, agent, functions)
    return found


def _add(found: dict[Made, set[Function]], agent: Ref, functions: set[Function]) -> None:
    made = agent.value
    if isinstance(made, Instance) and made.frame is not None:
        found[made.frame.place, made.call] |= functions


def _frame(project: Project, view: ModuleView, scope: int) -> Frame:
    evaluator = project.evaluator
    return evaluator.free_frame(view.path, scope) if scope else evaluator.module_frame(view.path)


def _may_register(call: Call, calls: tuple[Call, ...]) -> bool:
    callee = calls[call.callee.number].callee if isinstance(call.callee, CallRef) else call.callee
    name = callee.id if isinstance(callee, Name) else getattr(callee, "name", "")
    return name in _REGISTERS


def _registrations(project: Project, call: Call, frame: Frame) -> Iterator[tuple[Ref, set[Function]]]:
    """What one call registers, with whom."""
    if isinstance(call.callee, CallRef):
        functions = _functions(project, call.arguments[:1], frame)
        for agent in _registering(project, call.callee, frame):
            yield agent, functions
        return
    for ref in project.evaluator.evaluate(call.callee, frame):
        if isinstance(ref.value, External):
            given = [*call.arguments[:1], *_named(call, frozenset({"f"}))]
            for expression in _named(call, _AGENTS):
                for agent in project.evaluator.evaluate(expression, frame):
                    yield agent, _functions(project, given, frame)
        elif isinstance(ref.value, Method) and ref.value.name == "register_function":
            given = [*call.arguments[:1], *_named(call, frozenset({"function_map"}))]
            yield ref.value.receiver, _functions(project, given, frame)


def _registering(project: Project, expression: Expression, frame: Frame) -> Iterator[Ref]:
    """The agent of `agent.register_for_llm(...)`."""
    if not isinstance(expression, CallRef):
        return
    callee = frame.scope.calls[expression.number].callee
    if isinstance(callee, Attribute) and callee.name in _METHODS:
        for ref in project.evaluator.evaluate(callee, frame):
            if isinstance(ref.value, Method):
                yield ref.value.receiver


def _functions(project: Project, given: list[Expression] | tuple[Expression, ...], frame: Frame) -> set[Function]:
    """The functions that expressions stand for, also inside a list or a dictionary."""
    refs = [ref for expression in given for ref in project.evaluator.evaluate(expression, frame)]
    refs += project.evaluator.elements(tuple(refs))
    return {(ref.value.path, ref.value.scope) for ref in refs if isinstance(ref.value, FunctionObject)}


def _named(call: Call, names: frozenset[str]) -> Iterator[Expression]:
    return (value for name, value in call.keywords if name in names)
