"""Imports, and the calls that import what only a run can tell."""

from __future__ import annotations

import ast

from turnlane.checker.python.facts import Attribute, Call, Constant, Expression, Import, Name
from turnlane.checker.python.lowering.builder import ModuleBuilder, ScopeBuilder


def import_(s: ScopeBuilder, node: ast.Import) -> None:
    """`import a.b, c as d`"""
    for alias in node.names:
        module = alias.name
        if alias.asname:
            s.module.imports.append(Import(alias.asname, module, "", node.lineno, s.number, s.block))
        else:
            first = module.partition(".")[0]
            whole = module if module != first else ""
            s.module.imports.append(Import(first, first, "", node.lineno, s.number, s.block, whole))


def import_from(s: ScopeBuilder, node: ast.ImportFrom) -> None:
    """`from ..a import b as c, d`"""
    module = "." * node.level + (node.module or "")
    for alias in node.names:
        local = alias.asname or alias.name
        s.module.imports.append(Import(local, module, alias.name, node.lineno, s.number, s.block))


def note_dynamic_imports(module: ModuleBuilder) -> None:
    """Add what `importlib.import_module(...)` and `__import__(...)` import; say where only a run can tell."""
    if not _may_import(module):
        return
    for scope in module.scopes:
        for call in scope.calls if scope is not None else ():
            if scope is not None and _imports(call.callee):
                _dynamic_import(module, scope.number, call)


def _may_import(module: ModuleBuilder) -> bool:
    """Whether one of the names is read at all."""
    return (
        "__import__" in module.names
        or "import_module" in module.names
        or any(attr == "import_module" for _, attr in module.attributes)
    )


def _imports(callee: Expression) -> bool:
    if isinstance(callee, Attribute):
        return callee.name == "import_module" and callee.base == Name("importlib")
    return isinstance(callee, Name) and callee.id in ("__import__", "import_module")


def _dynamic_import(module: ModuleBuilder, scope: int, call: Call) -> None:
    named = call.arguments[0] if call.arguments else dict(call.keywords).get("name")
    if isinstance(named, Constant) and isinstance(named.value, str):
        name = named.value
        module.imports.append(Import("", name, "", call.span.line, scope, call.block, name))
    else:
        line = call.span.line
        module.problems.append((line, "a module whose name is computed is imported here: it was not followed"))
