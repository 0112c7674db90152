"""Where a value lives: in the module, in a closure around handlers, in an object that all requests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from turnlane.checker.typescript.facts import (
    Assignment,
    Awaited,
    Block,
    CallRef,
    Choice,
    Class,
    Constant,
    Expression,
    Index,
    Member,
    Name,
    Package,
    Parameter,
)
from turnlane.checker.typescript.reach import CallGraph, Place, Step, way
from turnlane.checker.typescript.values import Binding, File, Instance, Made, Values

_DEEP: Final = 12
_INJECTED: Final = frozenset(("Injectable", "Controller", "Resolver", "WebSocketGateway", "Service", "singleton"))
"""Decorators of classes of which a framework makes one object for all requests."""
_SETUP: Final = frozenset(("constructor", "onModuleInit", "init", "initialize", "setup", "connect", "start"))
"""Methods that run once in the life of an object."""


class Holding(NamedTuple):
    """The variable or field that holds a value."""

    kind: Literal["variable", "field"]
    path: str
    scope: int
    """That declares it: a module, a function, or the class of a field."""
    name: str
    entries: tuple[Binding, ...]

    @property
    def made(self) -> Binding:
        """Where it gets its value."""
        valued = (entry for entry in self.entries if entry.assignment.value != Constant(None))
        return next(valued, self.entries[0])


class Sharing:
    """Answers whether two requests meet the same object."""

    def __init__(
        self, values: Values, graph: CallGraph, reached: dict[Place, Step | None], roots: set[Place]
    ) -> None:
        self._values = values
        self._graph = graph
        self._reached = reached
        self._roots = roots
        self._shared_classes: dict[Instance, bool] = {}
        self._makers: dict[Instance, list[tuple[Place, Assignment | None]]] | None = None

    def holder(self, path: str, scope: int, expression: Expression, depth: int = 0) -> Holding | None:
        """The variable or field that an expression's value lives in; None: it is new here, or kept by a key."""
        if depth > _DEEP:
            return None
        match expression:
            case Name(name):
                return self._variable(path, scope, name, depth)
            case Member(Name("this"), name):
                return self._field(path, scope, name)
            case Member(Package(source), name):
                return self._imported(path, source, name, depth)
            case Member(base, name):
                return self._part(path, scope, base, name, depth)
            case Index(base, Constant()) | Awaited(base):
                return self.holder(path, scope, base, depth + 1)
            case Choice(options):
                found = (self.holder(path, scope, option, depth + 1) for option in options)
                return next((one for one in found if one is not None), None)
            case CallRef():
                return self._returned(path, scope, expression, depth)
        return None

    def shared(self, holding: Holding, place: Place) -> bool:
        """Whether two requests that run the function `place` meet the same value there."""
        if place not in self._reached or self._made_anew(holding, place):
            return False
        if holding.kind == "field":
            return self._is_shared_class(Instance(holding.path, holding.scope))
        if holding.scope == 0:
            return not isinstance(holding.made.assignment.value, Parameter)
        return self._around_handler(holding, place)

    # --- Variables ----------------------------------------------------------------------------------------------

    def _variable(self, path: str, scope: int, name: str, depth: int) -> Holding | None:
        declared, entries = self._values.bindings(path, scope, name)
        if declared < 0 or not entries:
            return None
        holding = Holding("variable", path, declared, name, tuple(entries))
        values = [entry for entry in entries if entry.assignment.value != Constant(None)]
        if len(values) != 1 or isinstance(values[0].assignment.value, Parameter):
            return holding if declared == 0 or values else None
        entry = values[0]
        if declared == 0 and not isinstance(_plain(entry.assignment.value), Name | Member):
            return holding
        further = self.holder(entry.path, entry.scope, entry.assignment.value, depth + 1)
        aliased = isinstance(_plain(entry.assignment.value), Name | Member | CallRef | Choice)
        return further if aliased and further is not None else holding

    def _imported(self, path: str, source: str, name: str, depth: int) -> Holding | None:
        target = self._values.specifiers.find(path, source)
        module = self._values.modules.get(target)
        if module is None:
            return None
        for export in module.exports:
            if export.name == name:
                return self.holder(target, 0, export.value, depth + 1)
            whole = export.value if export.name == "*" else None
            if isinstance(whole, Package) and (found := self._imported(target, whole.source, name, depth + 1)):
                return found
        return None

    def _part(self, path: str, scope: int, base: Expression, name: str, depth: int) -> Holding | None:
        for value in self._values.of(path, scope, base):
            if isinstance(value, File):
                for export in self._values.modules[value.path].exports:
                    if export.name == name:
                        return self.holder(value.path, 0, export.value, depth + 1)
            if isinstance(value, Made) and isinstance(value.expression, Class):  # a static field
                entries = self._values.fields(value.path, value.expression.scope).get(name)
                if entries:
                    return Holding("variable", value.path, 0, name, tuple(entries))
        return self.holder(path, scope, base, depth + 1)

    def _returned(self, path: str, scope: int, reference: CallRef, depth: int) -> Holding | None:
        """A function that hands out what it keeps: `getAgent()`."""
        call = self._values.modules[path].scopes[scope].calls[reference.number]
        if call.new:
            return None
        for target_path, target in self._graph.targets(path, scope, call):
            for result in self._values.modules[target_path].scopes[target].results:
                found = self.holder(target_path, target, result.value, depth + 1)
                if found is not None and (found.scope == 0 or found.kind == "field"):
                    return found
        return None

    def _made_anew(self, holding: Holding, place: Place) -> bool:
        """Whether each request gives it a new value first: then it is a variable in the wrong place."""
        path_here = {place, *(caller for caller, _ in way(self._reached, place))}
        for path, scope, entry in holding.entries:
            if entry.kind != "set" or entry.augmented or (path, scope) not in path_here:
                continue
            if isinstance(_plain(entry.value), Member):  # `messages = result.history` goes on with what was there
                continue
            function = self._values.modules[path].scopes[scope]
            guarded = any(
                function.blocks[block].kind in ("if", "catch", "switch")
                for block in _blocks_of(function.blocks, entry.block)
            )
            setup = holding.kind == "field" and function.name in _SETUP
            if not guarded and not setup and not self._grows(holding, entry.value):
                return True
        return False

    def _grows(self, holding: Holding, value: Expression) -> bool:
        return any(isinstance(part, Name) and part.id == holding.name for part in _inside(value)) or any(
            isinstance(part, Member) and part.name == holding.name for part in _inside(value)
        )

    def _around_handler(self, holding: Holding, place: Place) -> bool:
        """Whether the scope that declares it stands around a handler that runs `place`, and runs once."""
        declaring = (holding.path, holding.scope)
        if declaring in self._reached:
            return False
        current: Place | None = place
        while current is not None:
            if current in self._roots and self._inside(current, declaring):
                return True
            step = self._reached.get(current)
            current = step.caller if step is not None else None
        return False

    def _inside(self, place: Place, outer: Place) -> bool:
        path, scope = place
        if path != outer[0]:
            return False
        current = self._values.modules[path].scopes[scope].parent
        while current > 0:
            if current == outer[1]:
                return True
            current = self._values.modules[path].scopes[current].parent
        return False

    # --- Fields -----------------------------------------------------------------------------------------------

    def _field(self, path: str, scope: int, name: str) -> Holding | None:
        owner = self._values.enclosing_class(path, scope)
        entries = self._values.fields(path, owner).get(name) if owner >= 0 else None
        return Holding("field", path, owner, name, tuple(entries)) if entries else None

    def _is_shared_class(self, owner: Instance) -> bool:
        if owner not in self._shared_classes:
            self._shared_classes[owner] = self._injected(owner) or self._made_once(owner)
        return self._shared_classes[owner]

    def _injected(self, owner: Instance) -> bool:
        scopes = self._values.modules[owner.path].scopes
        scope = scopes[owner.scope]
        for decorator in scope.decorators:
            if isinstance(decorator, CallRef):
                call = scopes[scope.parent].calls[decorator.number]
                if isinstance(call.callee, Name) and call.callee.id in _INJECTED:
                    return not any("scope" in getattr(argument, "keys", ()) for argument in call.arguments)
        return False

    def _made_once(self, owner: Instance) -> bool:
        """Whether its objects are made at import, or kept in a variable of the module, and never for a request."""
        makers = self._all_makers().get(owner, [])
        kept = [self._kept(place, entry) for place, entry in makers]
        return bool(kept) and all(kept)

    def _kept(self, place: Place, entry: Assignment | None) -> bool:
        path, scope = place
        if scope == 0 or self._values.modules[path].scopes[scope].kind == "class":
            return True
        if entry is not None and entry.kind == "set" and isinstance(entry.target, Name):
            return self._values.bindings(path, scope, entry.target.id)[0] == 0
        if entry is not None and isinstance(entry.target, Member):
            if isinstance(entry.target.base, Name) and entry.target.base.id == "this":
                owner = self._values.enclosing_class(path, scope)
                return owner >= 0 and self._is_shared_class(Instance(path, owner))
            bases = self._values.of(path, scope, entry.target.base)
            return any(isinstance(value, Made) and isinstance(value.expression, Class) for value in bases)
        return False

    def _all_makers(self) -> dict[Instance, list[tuple[Place, Assignment | None]]]:
        if self._makers is None:
            self._makers = {}
            for owner, place, entry in self._constructions():
                self._makers.setdefault(owner, []).append((place, entry))
        return self._makers

    def _constructions(self) -> Iterator[tuple[Instance, Place, Assignment | None]]:
        for path, module in self._values.modules.items():
            for scope in module.scopes:
                kept = {
                    entry.value.number: entry for entry in scope.assignments if isinstance(entry.value, CallRef)
                }
                for number, call in enumerate(scope.calls):
                    if call.new:
                        for value in self._values.of(path, scope.number, call.callee):
                            if isinstance(value, Made) and isinstance(value.expression, Class):
                                owner = Instance(value.path, value.expression.scope)
                                yield owner, (path, scope.number), kept.get(number)


def _plain(expression: Expression) -> Expression:
    while isinstance(expression, Awaited):
        expression = expression.value
    return expression


def _blocks_of(blocks: tuple[Block, ...], block: int) -> Iterator[int]:
    while block > 0:
        yield block
        block = blocks[block].parent


def _inside(expression: Expression) -> Iterator[Expression]:
    """The expression and all its parts."""
    yield expression
    for field in expression:
        if isinstance(field, tuple):
            parts = (field,) if hasattr(field, "_fields") else field
            for part in parts:
                if hasattr(part, "_fields"):
                    yield from _inside(part)
