"""The modules of a checked tree together: what each name of a module or class is bound to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from turnlane.checker.python.facts import (
    Assignment,
    Attribute,
    CallRef,
    Constant,
    Expression,
    Import,
    Module,
    Name,
    Scope,
    Subscript,
)
from turnlane.checker.python.names import Names


class ModuleView:
    """One module's facts with the indexes that name lookup needs."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.path = module.path
        self.scopes = module.scopes
        self.aliases: frozenset[str] | None = None
        """Set by `entries`."""

    @cached_property
    def children(self) -> dict[int, list[Scope]]:
        """The scopes that are defined directly in each scope."""
        found: dict[int, list[Scope]] = defaultdict(list)
        for scope in self.scopes[1:]:
            found[scope.parent].append(scope)
        return found

    @cached_property
    def definitions(self) -> dict[tuple[int, str], Scope]:
        """Functions and classes by the scope that defines them and their name; the last definition counts.

        Overloads and property setters come in rows of one name: a setter does not hide its getter.
        """
        found: dict[tuple[int, str], Scope] = {}
        for scope in self.scopes[1:]:
            key = (scope.parent, scope.name)
            if scope.kind == "lambda" or (key in found and _is_setter(scope)):
                continue
            found[key] = scope
        return found

    @cached_property
    def imports(self) -> dict[tuple[int, str], list[Import]]:
        """Imports by scope and local name."""
        found: dict[tuple[int, str], list[Import]] = defaultdict(list)
        for item in self.module.imports:
            found[item.scope, item.local].append(item)
        return found

    @cached_property
    def assigned(self) -> dict[tuple[int, str], list[tuple[int, Assignment]]]:
        """Assignments to plain names by the scope that owns the variable, with the scope that assigns."""
        found: dict[tuple[int, str], list[tuple[int, Assignment]]] = defaultdict(list)
        for scope in self.scopes:
            for assignment in scope.assignments:
                if isinstance(assignment.target, Name):
                    owner = self.owner(scope, assignment.target.id)
                    found[owner, assignment.target.id].append((scope.number, assignment))
        return found

    def owner(self, scope: Scope, name: str) -> int:
        """The scope whose variable an assignment to `name` in `scope` binds."""
        if name in scope.globals:
            return 0
        if name in scope.nonlocals:
            return next(
                (outer.number for outer in self.enclosing(scope) if name in self._own_names[outer.number]), 0
            )
        return scope.number

    @cached_property
    def _own_names(self) -> list[set[str]]:
        """For each scope the plain names that it assigns to or takes as parameters, as variables of its own."""
        return [
            {
                assignment.target.id
                for assignment in scope.assignments
                if isinstance(assignment.target, Name)
                and assignment.target.id not in scope.nonlocals
                and assignment.target.id not in scope.globals
            }
            | {parameter.name for parameter in scope.parameters}
            for scope in self.scopes
        ]

    def enclosing(self, scope: Scope) -> Iterator[Scope]:
        """The functions around a scope, innermost first, without classes and the module."""
        while scope.parent > 0:
            scope = self.scopes[scope.parent]
            if scope.kind != "class":
                yield scope

    def binds(self, scope: int, name: str) -> bool:
        """Whether `name` is a variable of the scope."""
        key = (scope, name)
        return (
            key in self.assigned
            or key in self.definitions
            or key in self.imports
            or any(parameter.name == name for parameter in self.scopes[scope].parameters)
        )

    def text(self, expression: Expression) -> str | None:
        """The text that an expression stands for: a literal, or a constant of the file that is assigned once."""
        if isinstance(expression, Name):
            assigned = self.assigned.get((0, expression.id), [])
            expression = assigned[0][1].value if len(assigned) == 1 else expression
        return expression.value if isinstance(expression, Constant) and isinstance(expression.value, str) else None

    @cached_property
    def attributes_set(self) -> list[frozenset[str]]:
        """For each scope the names of the attributes that it assigns to, of whatever object."""
        return [
            frozenset(one.target.name for one in scope.assignments if isinstance(one.target, Attribute))
            for scope in self.scopes
        ]

    @cached_property
    def self_attributes(self) -> dict[tuple[int, str], list[tuple[int, Assignment]]]:
        """Assignments `self.name = value` by class scope and name, with the scope that assigns.

        Nested functions of a method count: they see the method's `self`.
        """
        found: dict[tuple[int, str], list[tuple[int, Assignment]]] = defaultdict(list)
        for scope in self.scopes:
            for assignment in scope.assignments:
                target = assignment.target
                if isinstance(target, Attribute) and isinstance(target.base, Name):
                    owner = self.class_of_self(scope, target.base.id)
                    if owner is not None:
                        found[owner, target.name].append((scope.number, assignment))
        return found

    def class_of_self(self, scope: Scope, name: str) -> int | None:
        """The class whose `self` (or `cls`) the variable `name` is in `scope`; None when it is something else."""
        current: Scope | None = scope
        while current is not None and current.number > 0:
            if current.kind in {"function", "lambda"} and any(p.name == name for p in current.parameters):
                parent = self.scopes[current.parent]
                first = current.parameters[0].name == name
                return parent.number if first and parent.kind == "class" else None
            current = self.scopes[current.parent]
        return None

    @cached_property
    def stored(self) -> dict[tuple[str, str], list[tuple[int, Expression, bool]]]:
        """What is put into containers later, by how they are named: ("name", x) or ("attribute", x).

        Each entry: the scope, the stored expression, and whether it is stored under a key.
        """
        found: dict[tuple[str, str], list[tuple[int, Expression, bool]]] = defaultdict(list)
        for scope in self.scopes:
            for assignment in scope.assignments:
                if isinstance(assignment.target, Subscript):
                    key = _container_key(assignment.target.base)
                    if key is not None:
                        found[key].append((scope.number, assignment.value, True))
            for call in scope.calls:
                callee = call.callee
                if isinstance(callee, Attribute) and callee.name in _PUTTERS:
                    key = _container_key(callee.base)
                    if key is not None and len(call.arguments) > _PUTTERS[callee.name]:
                        argument = call.arguments[_PUTTERS[callee.name]]
                        found[key].append((scope.number, argument, callee.name == "setdefault"))
        return found

    def blocks_around(self, scope: Scope, block: int) -> Iterator[int]:
        """`block` and the blocks around it, innermost first, the scope's body last."""
        while block >= 0:
            yield block
            block = scope.blocks[block].parent

    @cached_property
    def guarded_blocks(self) -> frozenset[int]:
        """Blocks of the module's scope that run only when the file is the program, with those inside them."""
        module = self.scopes[0]
        guards = set(self.module.main_guard)
        return frozenset(
            number
            for number in range(len(module.blocks))
            if any(outer in guards for outer in self.blocks_around(module, number))
        )


_PUTTERS = {"append": 0, "add": 0, "appendleft": 0, "setdefault": 1, "put": 0, "put_nowait": 0, "insert": 1}
"""Methods that put a value into a container, and which argument it is."""


def _container_key(base: Expression) -> tuple[str, str] | None:
    if isinstance(base, Name):
        return ("name", base.id)
    if isinstance(base, Attribute):
        return ("attribute", base.name)
    return None


def _session_key(target: Expression) -> str | None:
    """`x` of `st.session_state.x` and of `st.session_state["x"]`."""
    match target:
        case Attribute(base=base, name=name) if getattr(base, "name", getattr(base, "id", "")) == "session_state":
            return name
        case Subscript(base=base, key=Constant(value=str() as key)) if (
            getattr(base, "name", getattr(base, "id", "")) == "session_state"
        ):
            return key
        case _:
            return None


def _is_setter(scope: Scope) -> bool:
    return any(
        isinstance(decorator, Attribute) and decorator.name in {"setter", "deleter"}
        for decorator in scope.decorators
    )


class Program:
    """All modules of a checked tree."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = {path: ModuleView(module) for path, module in modules.items()}
        self.names = Names(modules)

    def __getitem__(self, path: str) -> ModuleView:
        return self.modules[path]

    @cached_property
    def class_names(self) -> frozenset[str]:
        """Plain names of all classes that the program defines."""
        return frozenset(
            scope.name for view in self.modules.values() for scope in view.scopes if scope.kind == "class"
        )

    @cached_property
    def imported_by(self) -> dict[str, set[str]]:
        """For each file, the files that import it or something in it."""
        found: dict[str, set[str]] = defaultdict(set)
        for path, view in self.modules.items():
            for item in view.module.imports:
                for target in self.imported_files(path, item):
                    found[target].add(path)
        return found

    def imported_files(self, importer: str, item: Import) -> Iterator[str]:
        """The files of the project that an import runs."""
        dotted = item.whole or item.module
        found = self.names.module(dotted, importer)
        if found is not None:
            yield found
        if item.name:
            separator = "" if dotted.endswith(".") else "."
            submodule = self.names.module(f"{dotted}{separator}{item.name}", importer)
            if submodule is not None:
                yield submodule

    @cached_property
    def app_state(self) -> dict[str, list[tuple[str, int, Assignment]]]:
        """Assignments `something.state.NAME = value`, by NAME: the state of a web application."""
        found: dict[str, list[tuple[str, int, Assignment]]] = defaultdict(list)
        for path, view in self.modules.items():
            for scope in view.scopes:
                for assignment in scope.assignments:
                    target = assignment.target
                    if (
                        isinstance(target, Attribute)
                        and isinstance(target.base, Attribute)
                        and target.base.name == "state"
                    ):
                        found[target.name].append((path, scope.number, assignment))
        return found

    @cached_property
    def session_state(self) -> dict[str, list[tuple[str, int, Assignment]]]:
        """Assignments to `st.session_state.NAME` and `st.session_state["NAME"]`, by NAME."""
        found: dict[str, list[tuple[str, int, Assignment]]] = defaultdict(list)
        for path, view in self.modules.items():
            for scope in view.scopes:
                for assignment in scope.assignments:
                    name = _session_key(assignment.target)
                    if name is not None:
                        found[name].append((path, scope.number, assignment))
        return found

    @cached_property
    def session_values(self) -> dict[str, list[tuple[str, int, Expression]]]:
        """Values that `cl.user_session.set("name", value)` keeps, by name."""
        found: dict[str, list[tuple[str, int, Expression]]] = defaultdict(list)
        for path, view in self.modules.items():
            for scope in view.scopes:
                for call in scope.calls:
                    callee = call.callee
                    if isinstance(callee, Attribute) and callee.name == "set" and len(call.arguments) == 2:
                        name = view.text(call.arguments[0])
                        if name is not None:
                            found[name].append((path, scope.number, call.arguments[1]))
        return found


def root_name(expression: Expression, scope: Scope) -> str:
    """The plain name that an expression starts with: `a` of `a.b[c].d()`; empty when it starts otherwise."""
    while True:
        match expression:
            case Name(id=name):
                return name
            case Attribute(base=base):
                expression = base
            case Subscript(base=base):
                expression = base
            case CallRef(number=number):
                expression = scope.calls[number].callee
            case _:
                return ""


def last_name(expression: Expression) -> str:
    """`c` of `a.b.c` and of `a.b.c[d]`; empty when it is not so."""
    match expression:
        case Name(id=name) | Attribute(name=name):
            return name
        case Subscript(base=base):
            return last_name(base)
        case _:
            return ""
