"""Which functions run when another runs: the call graph of a project, walked from its handlers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from turnlane.checker.typescript.facts import Call, CallRef, Class, Function, Member, Name, Span
from turnlane.checker.typescript.values import Instance, Made, Value, Values

Place = tuple[str, int]
"""A scope: the path of its file and its number."""


class Step(NamedTuple):
    """How a function is reached: from which, and where."""

    caller: Place
    span: Span


class CallGraph:
    """Who calls whom, asked function by function."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._out: dict[Place, tuple[tuple[Place, Span], ...]] = {}
        self._children: dict[str, dict[int, list[int]]] = {}

    def targets(self, path: str, scope: int, call: Call) -> Iterator[Place]:
        """The project's functions that a call runs at once; `new` runs the constructor."""
        for value in self._values.made(path, scope, call.callee):
            if isinstance(value, Made) and isinstance(value.expression, Function):
                yield value.path, value.expression.scope
            elif isinstance(value, Made) and isinstance(value.expression, Class) and call.new:
                yield from self._methods(Instance(value.path, value.expression.scope), "constructor")

    def _methods(self, owner: Instance, name: str) -> Iterator[Place]:
        for value in self._values.member(owner, name):
            if isinstance(value, Made) and isinstance(value.expression, Function):
                yield value.path, value.expression.scope

    def nested(self, place: Place) -> list[Place]:
        """The functions written inside a function: callbacks, which are taken to run when it does."""
        path, scope = place
        if path not in self._children:
            table: dict[int, list[int]] = {}
            for one in self._values.modules[path].scopes:
                if one.kind in ("arrow", "function", "method"):
                    table.setdefault(one.parent, []).append(one.number)
            self._children[path] = table
        return [(path, number) for number in self._children[path].get(scope, ())]

    def callees(self, place: Place) -> tuple[tuple[Place, Span], ...]:
        """What a function runs, and where it says so."""
        if place not in self._out:
            self._out[place] = tuple(dict(self._callees(place)).items())
        return self._out[place]

    def _callees(self, place: Place) -> Iterator[tuple[Place, Span]]:
        path, number = place
        scope = self._values.modules[path].scopes[number]
        for inner in self.nested(place):
            yield inner, self._values.modules[path].scopes[inner[1]].span
        for call in scope.calls:
            for target in self.targets(path, number, call):
                yield target, call.span
            for argument in call.arguments:
                if isinstance(argument, Name | Member):
                    for value in self._values.of(path, number, argument):
                        if isinstance(value, Made) and isinstance(value.expression, Function):
                            yield (value.path, value.expression.scope), call.span

    def reach(self, roots: list[Place]) -> dict[Place, Step | None]:
        """Every function that runs when one of `roots` does, and the step by which it is first reached."""
        found: dict[Place, Step | None] = dict.fromkeys(roots)
        queue = deque(roots)
        while queue:
            place = queue.popleft()
            for target, span in self.callees(place):
                if target not in found:
                    found[target] = Step(place, span)
                    queue.append(target)
        return found


def way(reached: dict[Place, Step | None], place: Place) -> list[tuple[Place, Span]]:
    """From a root to `place`: each function on the way, and where it runs the next."""
    steps: list[tuple[Place, Span]] = []
    current = place
    while (step := reached.get(current)) is not None:
        steps.append((step.caller, step.span))
        current = step.caller
    return steps[::-1]


def is_call(value: Value) -> bool:
    """Whether a value is the result of a call."""
    return isinstance(value, Made) and isinstance(value.expression, CallRef)
