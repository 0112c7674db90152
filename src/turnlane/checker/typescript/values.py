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

_DEEP: Final = 40
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
        self._known: dict[tuple[str, str, int, str], tuple[Value, ...]] = {}
        """What names, fields, calls and exports come to; empty while it is being found out: that ends cycles."""

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
            case Awaited(value) | Spread(value):
                return self.of(path, scope, value, depth + 1)
            case Package(source):
                return (self._module(path, source),)
            case Member() | Choice() | Element() | Index():
                key = ("part", path, scope, str(id(expression)))  # the facts stay, and so do their identities
                if key not in self._known:
                    self._known[key] = ()
                    self._known[key] = self._part(path, scope, expression, depth + 1)
                return self._known[key]
        return (Made(path, scope, expression),)

    def _part(
        self, path: str, scope: int, expression: Member | Choice | Element | Index, depth: int
    ) -> tuple[Value, ...]:
        match expression:
            case Member(base, name):
                bases = self.made(path, scope, base, depth)
                found = [value for one in bases for value in self.member(one, name, depth)]
                return _unique(found) or (Made(path, scope, expression),)
            case Choice(options):
                return _unique([value for option in options for value in self.of(path, scope, option, depth)])
            case Element(base) | Index(base, _):
                return self._elements(path, scope, base, depth) or (Made(path, scope, expression),)

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
        for callee in self.callees(value.path, value.scope, value.expression.number, depth + 1):
            if isinstance(callee, Made) and isinstance(callee.expression, Function):
                found.extend(self._results(callee.path, callee.expression.scope, depth + 1))
        return _unique(found)

    def callees(self, path: str, scope: int, number: int, depth: int = 0) -> tuple[Value, ...]:
        """What call `number` of a scope calls."""
        key = ("callee", path, scope, str(number))
        if key not in self._known:
            self._known[key] = ()
            self._known[key] = self.of(path, scope, self.modules[path].scopes[scope].calls[number].callee, depth)
        return self._known[key]

    def _results(self, path: str, function: int, depth: int) -> tuple[Value, ...]:
        key = ("results", path, function, "")
        if key not in self._known:
            self._known[key] = ()
            found: list[Value] = []
            for result in self.modules[path].scopes[function].results:
                if result.value != Constant(None):
                    found.extend(self.made(path, function, result.value, depth + 1))
            self._known[key] = _unique(found)
        return self._known[key]

    def _name(self, path: str, scope: int, name: str, depth: int) -> tuple[Value, ...]:
        if name in ("this", "super"):
            owner = self.enclosing_class(path, scope)
            return (Instance(path, owner),) if owner >= 0 else ()
        declared, entries = self.bindings(path, scope, name)
        if declared < 0:
            return (External("", (name,)),)
        key = ("name", path, declared, name)
        if key not in self._known:
            self._known[key] = ()
            found: list[Value] = []
            for entry in entries:
                if not entry.assignment.augmented or not isinstance(entry.assignment.value, Constant):
                    found.extend(self._assigned(entry, depth + 1))
            self._known[key] = _unique(found)
        return self._known[key]

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
            for found in self.callees(value.path, value.scope, value.expression.number, depth + 1)
            if isinstance(found, Made) and isinstance(found.expression, Class)
        )

    def _field(self, path: str, owner: int, name: str, depth: int) -> tuple[Value, ...]:
        key = ("field", path, owner, name)
        if key not in self._known:
            self._known[key] = ()
            self._known[key] = self._own_field(path, owner, name, depth)
        return self._known[key]

    def _own_field(self, path: str, owner: int, name: str, depth: int) -> tuple[Value, ...]:
        found: list[Value] = []
        for binding in self.fields(path, owner).get(name, ()):
            found.extend(self._assigned(binding, depth + 1))
        scope = self.modules[path].scopes[owner]
        for base in scope.bases if not found else ():
            for value in self.of(path, scope.parent, base, depth + 1):
                found.extend(self.member(value, name, depth + 1) if isinstance(value, Made) else ())
        return _unique(found)

    def _property(self, path: str, scope: int, literal: Object, name: str, depth: int) -> tuple[Value, ...]:
        key = ("property", path, id(literal), name)
        if key not in self._known:
            self._known[key] = ()
            self._known[key] = self._own_property(path, scope, literal, name, depth)
        return self._known[key]

    def _own_property(self, path: str, scope: int, literal: Object, name: str, depth: int) -> tuple[Value, ...]:
        found: list[Value] = []
        for key, value in zip(literal.keys, literal.values, strict=True):
            if key == name:
                found.extend(self.of(path, scope, value, depth + 1))
            elif key == "...":
                for spread in self.of(path, scope, value, depth + 1):
                    found.extend(self.member(spread, name, depth + 1) if isinstance(spread, Made) else ())
        return _unique(found)

    def _module(self, path: str, source: str) -> Value:
        found = self.specifiers.find(path, source)
        return File(found) if found and found in self.modules else External(source, ())

    def exported(self, path: str, name: str, depth: int = 0) -> tuple[Value, ...]:
        """What a file exports under `name`."""
        key = ("export", path, 0, name)
        if key not in self._known:
            self._known[key] = ()
            self._known[key] = self._exported(path, name, depth)
        return self._known[key]

    def _exported(self, path: str, name: str, depth: int) -> tuple[Value, ...]:
        module = self.modules.get(path)
        if module is None or not module.scopes or depth > _DEEP:
            return ()
        named = [export for export in module.exports if export.name == name]
        found = [value for export in named for value in self.of(path, 0, export.value, depth + 1)]
        if not found and name != "default":
            found = self._through_whole(path, module, name, depth + 1)
        if not found and name == "default" and any(export.name != "*" for export in module.exports):
            return (File(path),)
        return _unique(found)

    def _through_whole(self, path: str, module: Module, name: str, depth: int) -> list[Value]:
        """A name behind `export * from`, or in the object that a CommonJS module exports."""
        found: list[Value] = []
        for export in module.exports:
            for value in self.of(path, 0, export.value, depth + 1) if export.name in ("*", "default") else ():
                commonjs = isinstance(value, Made) and isinstance(value.expression, Object)
                if commonjs or (export.name == "*" and isinstance(value, File)):
                    found.extend(self.member(value, name, depth + 1))
        return found


def _unique(values: list[Value]) -> tuple[Value, ...]:
    """The first few values, each once. Tuples of different kinds may be equal, so the kinds count too."""
    found = {(type(value), type(value[-1]), value): value for value in values}
    return tuple(found.values())[:_MANY]
