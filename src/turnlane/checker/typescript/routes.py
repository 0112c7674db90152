"""What a route file says of itself: its settings, its entry points, and the agents that they reach."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.typescript.facts import Constant, Export, Expression, Name, Object
from turnlane.checker.typescript.handlers import functions
from turnlane.checker.typescript.project import Project, called
from turnlane.checker.typescript.reach import Place, Step
from turnlane.checker.typescript.values import Made


def settings(project: Project, path: str, name: str) -> Iterator[tuple[Export, object]]:
    """The values of `export const name = ...` and of `export const config = { name: ... }`, with the exports."""
    for export in project.modules[path].exports:
        if export.name in (name, "config"):
            for value in _constants(project, path, export.value, name):
                yield export, value


def _constants(project: Project, path: str, value: Expression, name: str) -> Iterator[object]:
    for one in project.values.of(path, 0, value):
        if not isinstance(one, Made):
            continue
        if isinstance(one.expression, Constant):
            yield one.expression.value
        elif isinstance(one.expression, Object) and name in one.expression.keys:
            inner = one.expression.values[one.expression.keys.index(name)]
            if isinstance(inner, Name | Constant):
                yield from _constants(project, path, inner, name)


def entry_points(project: Project, path: str) -> list[Place]:
    """The functions of a route file that a request starts: its handlers, or else all that it exports."""
    handlers = [place for place in project.handlers if place[0] == path]
    exported = [
        (function.path, function.scope)
        for export in project.modules[path].exports
        for function in functions(project.values, path, 0, export.value)
    ]
    return list(dict.fromkeys(handlers + exported))


def agent_runs(project: Project, reached: dict[Place, Step | None]) -> Iterator[tuple[Place, str]]:
    """The functions among `reached` that run an agent, and what runs there."""
    for place in reached:
        for run in project.agents.runs(place):
            if run.shape.loop:
                yield place, f"`{called(project.call(run))}`"
        if project.agents.loop(place):
            yield place, f"the loop of `{project.scope(place).name or 'this function'}`"
