"""Who is an agent, what keeps a conversation, and which calls run one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from turnlane.checker.settings import Settings
from turnlane.checker.typescript.facts import (
    Call,
    CallRef,
    Class,
    Constant,
    Expression,
    Function,
    Member,
    Name,
    Object,
)
from turnlane.checker.typescript.libraries import (
    AUTOGEN_SHAPE,
    METHOD_MAKERS,
    MODEL_CALLS,
    MODEL_FUNCTIONS,
    RUN_FUNCTIONS,
    RUN_METHODS,
    STEPS,
    Shape,
    shape_of,
)
from turnlane.checker.typescript.reach import CallGraph, Place
from turnlane.checker.typescript.values import External, Instance, Made, Typed, Value, Values

_MOST: Final = 4


class Run(NamedTuple):
    """A call that runs an agent, or writes to what keeps a conversation."""

    path: str
    scope: int
    number: int
    """Of the call, in the calls of the scope."""
    shape: Shape
    subject: Expression | None
    """What is run: `agent` in `agent.run()` and `run(agent)`; None: a loop that a function of a package makes."""
    promise: bool


class Agents:
    """Answers who is an agent in a project."""

    def __init__(self, values: Values, graph: CallGraph, settings: Settings) -> None:
        self._values = values
        self._graph = graph
        self._settings = settings
        self._shapes: dict[Made, Shape | None] = {}
        self._found: dict[Place, tuple[Run, ...]] = {}
        self._models: dict[Place, bool] = {}
        self._loops: dict[Place, bool] = {}

    # --- What a value is --------------------------------------------------------------------------------------

    def shape(self, value: Value) -> Shape | None:
        """What is known of the object `value`; None: it is no agent and keeps no conversation that is known."""
        if isinstance(value, Typed):
            return self._named(value.type)
        if isinstance(value, Instance):
            return self._inherited(value)
        if not isinstance(value, Made) or not isinstance(value.expression, CallRef):
            return None
        if value not in self._shapes:
            self._shapes[value] = None  # a class that makes itself
            self._shapes[value] = self._made(value, self._call(value.path, value.scope, value.expression))
        return self._shapes[value]

    def shapes(self, path: str, scope: int, expression: Expression) -> Iterator[tuple[Value, Shape]]:
        """The agents and conversations that an expression may be."""
        for value in self._values.made(path, scope, expression):
            if (shape := self.shape(value)) is not None:
                yield value, shape

    def _call(self, path: str, scope: int, reference: CallRef) -> Call:
        return self._values.modules[path].scopes[scope].calls[reference.number]

    def _made(self, value: Made, call: Call) -> Shape | None:
        for callee in self._values.of(value.path, value.scope, call.callee):
            if isinstance(callee, External):
                shape = self._named(callee)
            elif isinstance(callee, Made) and isinstance(callee.expression, Class) and call.new:
                shape = self._inherited(Instance(callee.path, callee.expression.scope))
            else:
                continue
            if shape is not None:
                return self._with_memory(shape, value, call)
        return self._by_method(value, call)

    def _named(self, external: External) -> Shape | None:
        package, path = external
        name = path[-1] if path else ""
        if package and (found := shape_of(package, name)) is not None:
            return found
        if package and package in self._settings.agent_packages:
            return AUTOGEN_SHAPE._replace(title=f"`{name}`")
        return AUTOGEN_SHAPE._replace(title=f"`{name}`") if name in self._settings.agent_classes else None

    def _inherited(self, instance: Instance, depth: int = 0) -> Shape | None:
        scope = self._values.modules[instance.path].scopes[instance.scope]
        if scope.name in self._settings.agent_classes:
            return AUTOGEN_SHAPE._replace(title=f"`{scope.name}`")
        for base in scope.bases if depth < _MOST else ():
            for value in self._values.of(instance.path, scope.parent, base):
                if isinstance(value, External) and (found := self._named(value)) is not None:
                    return found
                if isinstance(value, Made) and isinstance(value.expression, Class):
                    inner = Instance(value.path, value.expression.scope)
                    if (found := self._inherited(inner, depth + 1)) is not None:
                        return found
        return None

    def _with_memory(self, shape: Shape, value: Made, call: Call) -> Shape | None:
        """Decide what depends on the options; a memory that is kept elsewhere, by a key, is not in the object."""
        if shape.passed and _option(call, "chatHistory") is not None:
            history = _option(call, "chatHistory")
            assert history is not None
            return shape if any(True for _ in self.shapes(value.path, value.scope, history)) else None
        if shape.keeps != "memory":
            return shape
        memory, kind = _option(call, "memory"), _option(call, "agentType")
        if memory is None:
            kept = isinstance(kind, Constant) and "conversational" in str(kind.value)
        else:
            kept = any(True for _ in self.shapes(value.path, value.scope, memory))
        return shape._replace(keeps="yes" if kept else "no")

    def _by_method(self, value: Made, call: Call) -> Shape | None:
        if not isinstance(call.callee, Member):
            return None
        name = call.callee.name
        before = call.callee.base.name if isinstance(call.callee.base, Member) else ""
        known = METHOD_MAKERS.get(name.removesuffix("ById")) or METHOD_MAKERS.get(f"{before}.{name}")
        if known is None:
            return None
        package, shape = known
        if any(package.match(origin) for origin in self.origins(value.path, value.scope, call.callee.base)):
            return self._with_memory(shape, value, call)
        return None

    def origins(self, path: str, scope: int, expression: Expression) -> frozenset[str]:
        """The packages that an expression's value comes from: of a call, the package of what is called."""
        found: set[str] = set()
        waiting, seen = [(path, scope, expression)], set[tuple[str, int, int]]()
        while waiting:
            place, number, part = waiting.pop()
            if (key := (place, number, id(part))) in seen:
                continue
            seen.add(key)
            if isinstance(part, Member):
                waiting.append((place, number, part.base))
            elif isinstance(part, CallRef):
                waiting.append((place, number, self._call(place, number, part).callee))
            else:
                for value in self._values.made(place, number, part):
                    found.update(_package(value))
                    if isinstance(value, Made) and isinstance(value.expression, CallRef | Member):
                        waiting.append((value.path, value.scope, value.expression))
        return frozenset(found)

    # --- What a call does ------------------------------------------------------------------------------------

    def runs(self, place: Place) -> tuple[Run, ...]:
        """The calls of one function that run an agent or write to a conversation."""
        if place not in self._found:
            path, number = place
            scope = self._values.modules[path].scopes[number]
            found = (
                self._run(path, number, index, call) for index, call in enumerate(scope.calls) if not call.new
            )
            self._found[place] = tuple(run for run in found if run is not None)
        return self._found[place]

    def _run(self, path: str, scope: int, number: int, call: Call) -> Run | None:
        if isinstance(call.callee, Member) and (run := self._method_run(path, scope, number, call.callee)):
            return run
        name = call.callee.name if isinstance(call.callee, Member) else ""
        if not name and not isinstance(call.callee, Name):
            return None
        for value in self._values.of(path, scope, call.callee):
            if isinstance(value, External) and value.package and value.path:
                return self._function_run(path, scope, number, call, value)
        return None

    def _method_run(self, path: str, scope: int, number: int, callee: Member) -> Run | None:
        if callee.name not in RUN_METHODS:
            return None
        for _, shape in self.shapes(path, scope, callee.base):
            if callee.name in shape.runs or callee.name in shape.streams:
                return Run(path, scope, number, shape, callee.base, callee.name not in shape.streams)
        return None

    def _function_run(self, path: str, scope: int, number: int, call: Call, value: External) -> Run | None:
        name = value.path[-1]
        package = RUN_FUNCTIONS.get(name)
        if package is not None and package.fullmatch(value.package):
            subject = call.arguments[0] if call.arguments and name == "run" else None
            return Run(path, scope, number, _FUNCTION_RUN, subject, name == "run")
        if value.package == "ai" and name in MODEL_FUNCTIONS and _many_steps(call):
            shape = _FUNCTION_RUN._replace(title=f"`{name}` with tools")
            return Run(path, scope, number, shape, None, MODEL_FUNCTIONS[name])
        return None

    # --- Loops that the project writes itself ----------------------------------------------------------------

    def loop(self, place: Place) -> bool:
        """Whether a function is itself an agent: it calls a model with tools, in turns, until it is done."""
        if place not in self._loops:
            self._loops[place] = self._is_loop(place)
        return self._loops[place]

    def _is_loop(self, place: Place) -> bool:
        path, number = place
        scope = self._values.modules[path].scopes[number]
        for call in scope.calls:
            if not self._turns(path, number, call.block):
                continue
            if self._is_model_call(path, number, call):
                return True
            if any(self._asks_model(target) for target in self._graph.targets(path, number, call)):
                return True
        return False

    def _turns(self, path: str, scope: int, block: int) -> bool:
        blocks = self._values.modules[path].scopes[scope].blocks
        while block > 0:
            if blocks[block].kind in ("while", "for"):
                return True
            block = blocks[block].parent
        return False

    def _asks_model(self, place: Place, depth: int = 0) -> bool:
        """Whether a function calls a model with tools, itself or through another one."""
        if depth > _MOST:
            return False
        if place not in self._models:
            self._models[place] = False
            path, number = place
            calls = self._values.modules[path].scopes[number].calls
            self._models[place] = any(self._is_model_call(path, number, call) for call in calls) or any(
                self._asks_model(target, depth + 1) for target, _ in self._graph.callees(place)
            )
        return self._models[place]

    def _is_model_call(self, path: str, scope: int, call: Call) -> bool:
        if not has_tools(call):
            return False
        callee = call.callee
        if isinstance(callee, Member) and isinstance(callee.base, Member):
            return (callee.base.name, callee.name) in MODEL_CALLS
        if isinstance(callee, Name) and callee.id in MODEL_FUNCTIONS:
            return any(
                isinstance(value, External) and value.package == "ai"
                for value in self._values.of(path, scope, callee)
            )
        return False


_FUNCTION_RUN: Final = Shape("an agent", "no", frozenset())


def _option(call: Call, name: str) -> Expression | None:
    """The value of an option, in the last objects among the arguments."""
    for argument in reversed(call.arguments):
        if isinstance(argument, Object) and name in argument.keys:
            return argument.values[argument.keys.index(name)]
    return None


def _package(value: Value) -> Iterator[str]:
    if isinstance(value, External):
        yield value.package
    elif isinstance(value, Typed):
        yield value.type.package


def option(call: Call, name: str) -> Expression | None:
    """The value of an option that a call is given in an object; None: it is not there."""
    return _option(call, name)


def has_tools(call: Call) -> bool:
    """Whether a model is given tools: the option is there and neither empty nor `undefined`."""
    tools = next((value for key in ("tools", "functions") if (value := _option(call, key)) is not None), None)
    if isinstance(tools, Object) and not tools.keys:
        return False
    return tools is not None and not (isinstance(tools, Constant) and tools.value is None)


def _many_steps(call: Call) -> bool:
    if not has_tools(call):
        return False
    steps = next((value for key in STEPS if (value := _option(call, key)) is not None), None)
    return steps is not None and not (isinstance(steps, Constant) and steps.value in (0, 1, None))


def is_function(value: Value) -> bool:
    """Whether a value is a function of the project."""
    return isinstance(value, Made) and isinstance(value.expression, Function)
