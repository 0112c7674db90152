"""Turns the source of packages into rows of the table: roles, bases, parameters, what each method gives."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from turnlane.checker.libraries import roles
from turnlane.checker.libraries.frameworks import Role
from turnlane.checker.libraries.packages import Module, Packages, dotted

Function = ast.FunctionDef | ast.AsyncFunctionDef

_STREAMS = frozenset({"AsyncGenerator", "AsyncIterator", "AsyncIterable", "AsyncStream"})
_AWAITABLES = frozenset({"Awaitable", "Coroutine"})  # not Future and Task: they run whether awaited or not
_WRAPPERS = _STREAMS | _AWAITABLES | {"Optional", "Union", "Annotated", "Type", "type", "ClassVar"}


class Table(NamedTuple):
    """The rows of one release, in the form that `frameworks` reads."""

    classes: dict[str, list[Any]]
    functions: dict[str, list[Any]]
    aliases: dict[str, dict[str, str]]


def describe(packages: Packages) -> Table:
    """The rows of all classes that have a role, of their bases, and of the functions worth knowing."""
    return _Describer(packages).table()


class _Describer:
    def __init__(self, packages: Packages) -> None:
        self.packages = packages
        self.bases: dict[str, list[str]] = {}
        self.roots: dict[str, Role] = {}
        for name, role in roles.ROOTS.items():
            if (resolved := packages.resolve(name)) is not None:
                self.roots[resolved] = role
        self._read_bases()
        self.lineages = {name: list(self._lineage(name)) for name in self.bases}
        self.kept = self._kept()
        self.stateless = self._resolved(roles.STATELESS)
        self.stateful = self._resolved(roles.STATEFUL)
        self.tools = {packages.resolve(name): runs for name, runs in roles.TOOL_RUNS.items()}

    def _resolved(self, names: Iterable[str]) -> set[str | None]:
        return {self.packages.resolve(name) for name in names} - {None}

    def _read_bases(self) -> None:
        for module in self.packages.modules():
            for name, definitions in module.definitions.items():
                if isinstance(definitions[-1], ast.ClassDef):
                    nodes = [_unsubscripted(base) for base in definitions[-1].bases]
                    found = [
                        self.packages.resolve(f"{module.name}.{dotted(node)}") for node in nodes if dotted(node)
                    ]
                    self.bases[f"{module.name}.{name}"] = [base for base in found if base is not None]

    def _lineage(self, name: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        yield name
        for base in self.bases.get(name, ()):
            if base not in seen:
                yield from self._lineage(base, seen | {name})

    def _kept(self) -> set[str]:
        kept: set[str] = set()
        for lineage in self.lineages.values():
            if any(name in self.roots for name in lineage):
                kept.update(name for name in lineage if name in self.bases)
        return kept

    def _distribution(self, name: str) -> str:
        module = self.packages.module(name.rpartition(".")[0])
        assert module is not None
        return module.distribution

    def role(self, name: str) -> Role | None:
        return next((self.roots[base] for base in self.lineages[name] if base in self.roots), None)

    def table(self) -> Table:
        classes = {name: self._class_row(name) for name in sorted(self.kept)}
        functions = {}
        for public, runs in roles.FUNCTIONS.items():
            name = self.packages.resolve(public)
            if name is not None and name not in functions and (row := self._function_row(name, runs)):
                functions[name] = row
        return Table(classes, functions, self._aliases({*classes, *functions}))

    # --- Classes -----------------------------------------------------------------------------------------

    def _class_row(self, name: str) -> list[Any]:
        role = self.role(name)
        lineage = self.lineages[name]
        keeps = role in roles.KEEPS_STATE and not any(base in self.stateless for base in lineage)
        keeps = keeps or any(base in self.stateful for base in lineage)
        return [
            self._distribution(name),
            _family(name),
            role,
            int(keeps),
            [base for base in self.bases[name] if base in self.kept],
            self._constructor(name),
            self._methods(name),
        ]

    def _class_functions(self, name: str) -> dict[str, list[Function]]:
        """The functions of a class body, those under `if` included, by name."""
        found: dict[str, list[Function]] = {}
        definition = self.packages.definitions(name)[-1]
        for node in definition.body:
            for inner in (node, *getattr(node, "body", ())) if isinstance(node, ast.If) else (node,):
                if isinstance(inner, Function):
                    found.setdefault(inner.name, []).append(inner)
        return found

    def _constructor(self, name: str) -> list[str]:
        """The nearest `__init__` of the lineage, a dataclass's or pydantic model's fields without one."""
        for owner in self.lineages[name]:
            if owner not in self.bases:
                continue
            functions = self._class_functions(owner).get("__init__")
            if functions:
                return _parameters(functions[-1])
            definition = self.packages.definitions(owner)[-1]
            if any("dataclass" in dotted(_called(decorator)) for decorator in definition.decorator_list):
                return [
                    field.target.id
                    for field in definition.body
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                ]
        return []

    def _methods(self, name: str) -> dict[str, str]:
        """Its own methods; inherited ones only where this class gives them another meaning."""
        own = self._class_functions(name)
        inherited = self._inherited(name)
        tool_runs = self.tools.get(name, frozenset())
        running = _running(self.role(name)) | tool_runs
        methods = {}
        for method, (definitions, module) in inherited.items():
            if method.startswith("_") or (method not in own and method not in tool_runs):
                continue
            code = self._code(definitions, module, method in running)
            if code[0] == "s" and f"a_{method}" in inherited:
                code += f" ~a_{method}"
            if code[0] != "p" or ">" in code:
                methods[method] = code
        return methods

    def _inherited(self, name: str) -> dict[str, tuple[list[Function], str]]:
        """The functions of a class and its bases, the nearest first, with the module that each stands in."""
        found: dict[str, tuple[list[Function], str]] = {}
        for owner in self.lineages[name]:
            if owner in self.bases:
                for method, definitions in self._class_functions(owner).items():
                    found.setdefault(method, (definitions, owner.rpartition(".")[0]))
        return found

    # --- Functions ---------------------------------------------------------------------------------------

    def _function_row(self, name: str, runs: bool) -> list[Any]:
        module, _, plain = name.rpartition(".")
        definitions = [node for node in self.packages.definitions(name) if isinstance(node, Function)]
        if not definitions:
            return []
        code = self._code(definitions, module, runs)
        if code[0] == "s" and self.packages.definitions(f"{module}.a_{plain}"):
            code += f" ~a_{plain}"
        return [
            self._distribution(name),
            _family(name),
            code,
            _parameters(definitions[-1], bound=False),
        ]

    def _code(self, definitions: list[Function], module: str, runs: bool) -> str:
        """The compact form that `frameworks._method` reads."""
        node = definitions[-1]
        decorators = {dotted(_called(decorator)).rpartition(".")[2] for decorator in node.decorator_list}
        kind = _kind(node, decorators)
        code = kind + ("!" if runs else "") + ("c" if decorators & {"classmethod", "staticmethod"} else "")
        if kind == "a" and _streams_by_keyword(definitions):
            code += " ?stream"
        returned = next((found for each in definitions if (found := self._returned(each.returns, module))), "")
        if kind == "s" and returned in self.bases and "__aiter__" in self._class_functions(returned):
            code = code.replace("s", "g", 1)
        return f"{code} >{returned}" if returned else code

    def _returned(self, node: ast.expr | None, module: str) -> str:
        """The class of the table that an annotation names, looked for inside Optional, Awaitable, unions ..."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return ""
        if isinstance(node, ast.BinOp):
            return self._returned(node.left, module) or self._returned(node.right, module)
        if isinstance(node, ast.Subscript):
            if dotted(node.value).rpartition(".")[2] in _WRAPPERS:
                inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                return next((found for part in inner if (found := self._returned(part, module))), "")
            return self._returned(node.value, module)
        name = dotted(node) if node is not None else ""
        if name.rpartition(".")[2] == "Self":
            return "Self"
        resolved = self.packages.resolve(f"{module}.{name}") if name else None
        return resolved if resolved in self.kept and self.role(resolved) else ""

    # --- Names -------------------------------------------------------------------------------------------

    def _aliases(self, kept: set[str]) -> dict[str, dict[str, str]]:
        """By package, the names it re-exports: the defining module, or the whole name if it differs."""
        aliases: dict[str, dict[str, str]] = {}
        for module in self.packages.modules():
            for name in self.packages.exports(module):
                target = self.packages.resolve(f"{module.name}.{name}")
                if target not in kept or target == f"{module.name}.{name}" or not _is_public(module, name):
                    continue
                defined_in, _, plain = target.rpartition(".")
                aliases.setdefault(module.name, {})[name] = defined_in if plain == name else target
        return {package: dict(sorted(names.items())) for package, names in aliases.items()}


def _is_public(module: Module, name: str) -> bool:
    """Whether users import it from there; some reach into private packages, but not for what a module imports."""
    return not name.startswith("_") and (module.is_package or "._" not in module.name)


def _running(role: Role | None) -> frozenset[str]:
    """The methods that start a run, for classes of a role; for a mixin, those of whatever it may be mixed into."""
    if role is None:
        return frozenset().union(*roles.RUNS.values())
    return roles.RUNS.get("agent" if role in ("manager", "user_proxy") else role, frozenset())


def _family(name: str) -> str:
    top = name.partition(".")[0]
    return "agent_framework" if top.startswith("agent_framework") else roles.FAMILIES[top]


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _parameters(function: Function, *, bound: bool = True) -> list[str]:
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][bound:]
    if arguments.vararg is not None:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [argument.arg for argument in arguments.kwonlyargs]
    return names + ["**"] * (arguments.kwarg is not None)


def _kind(function: Function, decorators: set[str]) -> str:
    """The letter of `Kind`: what a caller gets, by the definition or, where that says nothing, its annotation."""
    if decorators & {"property", "cached_property", "setter"}:
        return "p"
    if "asynccontextmanager" in decorators or "contextmanager" in decorators:
        return "s"
    outer = _outer(function.returns)
    if isinstance(function, ast.AsyncFunctionDef):
        # A protocol declares a stream as `async def` without a yield now and then.
        return "g" if _yields(function) or (outer & _STREAMS and _is_stub(function)) else "a"
    if outer & _AWAITABLES:
        return "a"
    return "g" if outer & _STREAMS else "s"


def _outer(annotation: ast.expr | None) -> set[str]:
    """The outermost names of an annotation, both sides of a union."""
    if isinstance(annotation, ast.BinOp):
        return _outer(annotation.left) | _outer(annotation.right)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _outer(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return set()
    if annotation is None:
        return set()
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value).rpartition(".")[2] == "Union":
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return set().union(*(_outer(part) for part in parts))
    return {dotted(_unsubscripted(annotation)).rpartition(".")[2]}


def _yields(function: Function) -> bool:
    """Whether the function itself, not one inside it, yields."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _is_stub(function: Function) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Raise)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in function.body
    )


def _streams_by_keyword(definitions: list[Function]) -> bool:
    """Whether `stream=True` gives a stream: an overload says so, or the implementation returns either."""
    for function in definitions:
        arguments = (*function.args.args, *function.args.kwonlyargs)
        takes = any(argument.arg == "stream" for argument in arguments)
        if takes and _outer(function.returns) & {*_STREAMS, "ResponseStream"}:
            return True
    return False
