"""What an expression stands for: names, members, imports and factories followed to where the value is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from turnlane.checker.typescript.facts import (
    Array,
    Assignment,
    Awaited,
    CallRef,
    Choice,
    Class,
    Constant,
    Element,
    Expression,
    Function,
    Index,
    Member,
    Module,
    Name,
    Object,
    Package,
    Parameter,
    Spread,
)
from turnlane.checker.typescript.specifiers import Specifiers

_DEEP: Final = 24
_MANY: Final = 8


class External(NamedTuple):
    """Something that a package exports, or a global when the package is empty: `@openai/agents`, ("Agent",)."""

    package: str
    path: tuple[str, ...]


class File(NamedTuple):
    """All that a file of the project exports."""

    path: str


class Made(NamedTuple):
    """A value made by an expression of the project: a call, a function, a class, a literal, a parameter."""

    path: str
    scope: int
    expression: Expression


class Instance(NamedTuple):
    """Some object of a class of the project, such as `this`."""

    path: str
    scope: int


class Typed(NamedTuple):
    """Some object of a class of a package, known by its annotation."""

    type: External


Value = External | File | Made | Instance | Typed


class Binding(NamedTuple):
    """One assignment to a name or a field, and the scope that it is written in."""

    path: str
    scope: int
    assignment: Assignment


class Values:
    """Follows values through the files of a project."""

    def __init__(self, modules: Mapping[str, Module], specifiers: Specifiers) -> None:
        self.modules = modules
        self.specifiers = specifiers
        self._names: dict[str, dict[tuple[int, str], list[Binding]]] = {}
        self._fields: dict[tuple[str, int], dict[str, list[Binding]]] = {}
        self._known: dict[tuple[str, int, str], tuple[Value, ...]] = {}

    # --- Where names are bound ----------------------------------------------------------------------------------

    def bindings(self, path: str, scope: int, name: str) -> tuple[int, list[Binding]]:
        """The scope that declares `name` as seen from `scope`, and every assignment to it; -1: nobody does."""
        table = self._table(path)
        current = scope
        while current >= 0:
            if (found := table.get((current, name))) is not None:
                return current, found
            current = self.modules[path].scopes[current].parent
        return -1, []

    def _table(self, path: str) -> dict[tuple[int, str], list[Binding]]:
        if path not in self._names:
            self._names[path] = self._bound(path)
        return self._names[path]

    def _bound(self, path: str) -> dict[tuple[int, str], list[Binding]]:
        table: dict[tuple[int, str], list[Binding]] = {}
        later: list[Binding] = []
        for scope in self.modules[path].scopes:
            for entry in scope.assignments if scope.kind != "class" else ():
                if not isinstance(entry.target, Name):
                    continue
                binding = Binding(path, scope.number, entry)
                if entry.kind == "set":
                    later.append(binding)
                else:
                    table.setdefault((scope.number, entry.target.id), []).append(binding)
        for binding in later:
            assert isinstance(binding.assignment.target, Name)
            table.setdefault(self._declaring(path, table, binding), []).append(binding)
        return table

    def _declaring(
        self, path: str, table: dict[tuple[int, str], list[Binding]], binding: Binding
    ) -> tuple[int, str]:
        assert isinstance(binding.assignment.target, Name)
        name, current = binding.assignment.target.id, binding.scope
        while current > 0 and (current, name) not in table:
            current = self.modules[path].scopes[current].parent
        return current, name

    def fields(self, path: str, class_scope: int) -> dict[str, list[Binding]]:
        """What is assigned to the members of a class: fields, methods, and `this.name = ...` in methods."""
        key = (path, class_scope)
        if key not in self._fields:
            found: dict[str, list[Binding]] = {}
            for scope in self.modules[path].scopes:
                for name, entry in self._members_set(path, scope.number, class_scope):
                    found.setdefault(name, []).append(Binding(path, scope.number, entry))
            self._fields[key] = found
        return self._fields[key]

    def _members_set(self, path: str, scope: int, class_scope: int) -> Iterator[tuple[str, Assignment]]:
        for entry in self.modules[path].scopes[scope].assignments:
            target = entry.target
            if scope == class_scope:
                if isinstance(target, Name):
                    yield target.id, entry
            elif (
                isinstance(target, Member)
                and isinstance(target.base, Name)
                and target.base.id == "this"
                and self.enclosing_class(path, scope) == class_scope
            ):
                yield target.name, entry

    def enclosing_class(self, path: str, scope: int) -> int:
        """The class that `this` is an object of, seen from a scope; -1: none."""
        scopes = self.modules[path].scopes
        current = scope
        while current > 0:
            found = scopes[current]
            if found.kind == "class":
                return current
            if found.kind == "function" and scopes[found.parent].kind != "class":
                return -1
            current = found.parent
        return -1

    # --- What an expression is --------------------------------------------------------------------------------

    def of(self, path: str, scope: int, expression: Expression, depth: int = 0) -> tuple[Value, ...]:
        """Where the value comes from: names, imports, members and `await` followed; calls are where it ends."""
        if depth > _DEEP:
            return ()
        match expression:
            case Name(name):
                return self._name(path, scope, name, depth)
            case Member(base, name):
                bases = self.made(path, scope, base, depth + 1)
                found = [value for one in bases for value in self.member(one, name, depth + 1)]
                return tuple(found[:_MANY]) or (Made(path, scope, expression),)
            case Awaited(value) | Spread(value):
                return self.of(path, scope, value, depth + 1)
            case Choice(options):
                found = [value for option in options for value in self.of(path, scope, option, depth + 1)]
                return tuple(found[:_MANY])
            case Package(source):
                return (self._module(path, source),)
            case Element(base) | Index(base, _):
                return self._elements(path, scope, base, depth) or (Made(path, scope, expression),)
            case Parameter():
                return (Made(path, scope, expression),)
        return (Made(path, scope, expression),)

    def made(self, path: str, scope: int, expression: Expression, depth: int = 0) -> tuple[Value, ...]:
        """As `of`, and calls of the project's functions are followed to what they return."""
        found: list[Value] = []
        for value in self.of(path, scope, expression, depth):
            found.extend(self._returned(value, depth + 1) or (value,))
        return _unique(found)

    def _returned(self, value: Value, depth: int) -> tuple[Value, ...]:
        if depth > _DEEP or not isinstance(value, Made) or not isinstance(value.expression, CallRef):
            return ()
        call = self.modules[value.path].scopes[value.scope].calls[value.expression.number]
        if call.new:
            return ()
        found: list[Value] = []
        for callee in self.of(value.path, value.scope, call.callee, depth + 1):
            if isinstance(callee, Made) and isinstance(callee.expression, Function):
                target = self.modules[callee.path].scopes[callee.expression.scope]
                for result in target.results:
                    if result.value != Constant(None):
                        found.extend(self.made(callee.path, target.number, result.value, depth + 1))
        return tuple(found[:_MANY])

    def _name(self, path: str, scope: int, name: str, depth: int) -> tuple[Value, ...]:
        if name in ("this", "super"):
            owner = self.enclosing_class(path, scope)
            return (Instance(path, owner),) if owner >= 0 else ()
        key = (path, scope, name)
        if key in self._known:
            return self._known[key]
        declared, entries = self.bindings(path, scope, name)
        if declared < 0:
            return (External("", (name,)),)
        found: list[Value] = []
        for entry in entries:
            if not entry.assignment.augmented or not isinstance(entry.assignment.value, Constant):
                found.extend(self._assigned(entry, depth + 1))
        result = _unique(found)
        if depth == 0:
            self._known[key] = result
        return result

    def _assigned(self, binding: Binding, depth: int) -> tuple[Value, ...]:
        path, scope, entry = binding
        if isinstance(entry.value, Constant) and entry.value.value is None:
            return self._annotated(path, scope, entry.annotation, depth) if entry.kind == "field" else ()
        if isinstance(entry.value, Parameter):
            typed = self._annotated(path, scope, entry.annotation, depth)
            return typed or (Made(path, scope, entry.value),)
        return self.of(path, scope, entry.value, depth)

    def _annotated(self, path: str, scope: int, annotation: Expression | None, depth: int) -> tuple[Value, ...]:
        if annotation is None:
            return ()
        found: list[Value] = []
        for value in self.of(path, scope, annotation, depth + 1):
            if isinstance(value, External) and value.package:
                found.append(Typed(value))
            elif isinstance(value, Made) and isinstance(value.expression, Class):
                found.append(Instance(value.path, value.expression.scope))
        return tuple(found)

    def _elements(self, path: str, scope: int, base: Expression, depth: int) -> tuple[Value, ...]:
        found: list[Value] = []
        for value in self.of(path, scope, base, depth + 1):
            if isinstance(value, Made) and isinstance(value.expression, Array):
                for item in value.expression.values:
                    found.extend(self.of(value.path, value.scope, item, depth + 1))
        return tuple(found[:_MANY])

    # --- Members and modules ----------------------------------------------------------------------------------

    def member(self, value: Value, name: str, depth: int = 0) -> tuple[Value, ...]:
        """What `value.name` is; empty when it can't be told."""
        if depth > _DEEP:
            return ()
        match value:
            case External(package, path):
                return (External(package, path if name == "default" else (*path, name)),)
            case File(path):
                return self.exported(path, name, depth + 1)
            case Instance(path, scope):
                return self._field(path, scope, name, depth + 1)
            case Made(path, scope, Object() as literal):
                return self._property(path, scope, literal, name, depth + 1)
            case Made(path, _, Class(owner)):
                return self._field(path, owner, name, depth + 1)
            case Made(_, _, CallRef()):
                owners = self.classes(value, depth + 1)
                return tuple(
                    found for one in owners for found in self._field(one.path, one.scope, name, depth + 1)
                )
        return ()

    def classes(self, value: Value, depth: int = 0) -> tuple[Instance, ...]:
        """The project's classes that `value` is an object of."""
        if isinstance(value, Instance):
            return (value,)
        if not isinstance(value, Made) or not isinstance(value.expression, CallRef):
            return ()
        call = self.modules[value.path].scopes[value.scope].calls[value.expression.number]
        if not call.new:
            return ()
        return tuple(
            Instance(found.path, found.expression.scope)
            for found in self.of(value.path, value.scope, call.callee, depth + 1)
            if isinstance(found, Made) and isinstance(found.expression, Class)
        )

    def _field(self, path: str, owner: int, name: str, depth: int) -> tuple[Value, ...]:
        found: list[Value] = []
        for binding in self.fields(path, owner).get(name, ()):
            found.extend(self._assigned(binding, depth + 1))
        if found or depth > _DEEP:
            return _unique(found)
        scope = self.modules[path].scopes[owner]
        for base in scope.bases:
            for value in self.of(path, scope.parent, base, depth + 1):
                found.extend(self.member(value, name, depth + 1) if isinstance(value, Made) else ())
        return tuple(found[:_MANY])

    def _property(self, path: str, scope: int, literal: Object, name: str, depth: int) -> tuple[Value, ...]:
        found: list[Value] = []
        for key, value in zip(literal.keys, literal.values, strict=True):
            if key == name:
                found.extend(self.of(path, scope, value, depth + 1))
            elif key == "...":
                for spread in self.of(path, scope, value, depth + 1):
                    found.extend(self.member(spread, name, depth + 1) if isinstance(spread, Made) else ())
        return tuple(found[:_MANY])

    def _module(self, path: str, source: str) -> Value:
        found = self.specifiers.find(path, source)
        return File(found) if found and found in self.modules else External(source, ())

    def exported(self, path: str, name: str, depth: int = 0) -> tuple[Value, ...]:
        """What a file exports under `name`."""
        module = self.modules.get(path)
        if module is None or not module.scopes or depth > _DEEP:
            return ()
        named = [export for export in module.exports if export.name == name]
        found = [value for export in named for value in self.of(path, 0, export.value, depth + 1)]
        if not found:
            wholes = [export for export in module.exports if export.name in ("*", "default")]
            for export in wholes if name != "default" else ():
                for value in self.of(path, 0, export.value, depth + 1):
                    commonjs = isinstance(value, Made) and isinstance(value.expression, Object)
                    if export.name == "*" or commonjs:
                        found.extend(() if isinstance(value, External) else self.member(value, name, depth + 1))
        if not found and name == "default" and any(export.name != "*" for export in module.exports):
            return (File(path),)
        return _unique(found)


def _unique(values: list[Value]) -> tuple[Value, ...]:
    """The first few values, each once. Tuples of different kinds may be equal, so the kinds count too."""
    found = {(type(value), type(value[-1]), value): value for value in values}
    return tuple(found.values())[:_MANY]
