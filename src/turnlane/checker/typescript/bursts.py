"""Runs that are started together: `Promise.all` over a list of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.typescript.agents import Run
from turnlane.checker.typescript.facts import Array, Call, CallRef, Expression, Function, Member, Name
from turnlane.checker.typescript.project import Project
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.values import Made

_TOGETHER: Final = frozenset(("all", "allSettled", "race", "any"))


class Burst(NamedTuple):
    """One `Promise.all` over runs."""

    place: Place
    call: Call
    runs: tuple[Run, ...]
    over: Expression
    """What is mapped: `items` in `Promise.all(items.map(...))`; else the list itself."""
    over_place: Place
    each: bool
    """Whether there is one run for each element of `over`."""
    callback: int = -1
    """The function that makes each run."""

    def encloses(self, project: Project, path: str, scope: int) -> bool:
        """Whether a scope is inside the function that makes each run."""
        if path != self.place[0] or self.callback < 0:
            return False
        current = scope
        while current >= 0:
            if current == self.callback:
                return True
            current = project.modules[path].scopes[current].parent
        return False


def bursts(project: Project) -> Iterator[Burst]:
    """Every `Promise.all` (and its kin) over runs of agents."""
    for place, _, call in project.calls():
        callee = call.callee
        together = isinstance(callee, Member) and callee.name in _TOGETHER and isinstance(callee.base, Name)
        if not together or not call.arguments or not isinstance(callee, Member):
            continue
        if isinstance(callee.base, Name) and callee.base.id == "Promise":
            yield from _burst(project, place, call)


def _burst(project: Project, place: Place, call: Call) -> Iterator[Burst]:
    for value in project.values.of(*place, call.arguments[0]):
        if not isinstance(value, Made):
            continue
        here = (value.path, value.scope)
        if isinstance(value.expression, Array):
            numbers = {one.number for one in value.expression.values if isinstance(one, CallRef)}
            runs = tuple(run for run in project.agents.runs(here) if run.number in numbers)
            if runs:
                yield Burst(place, call, runs, value.expression, here, False)
        elif isinstance(value.expression, CallRef):
            yield from _mapped(project, place, call, here, project.scope(here).calls[value.expression.number])


def _mapped(project: Project, place: Place, call: Call, here: Place, mapping: Call) -> Iterator[Burst]:
    callee = mapping.callee
    if not isinstance(callee, Member) or callee.name not in ("map", "flatMap") or not mapping.arguments:
        return
    function = mapping.arguments[0]
    if isinstance(function, Function):
        runs = project.agents.runs((here[0], function.scope))
        if runs:
            yield Burst(place, call, runs, callee.base, here, True, function.scope)
