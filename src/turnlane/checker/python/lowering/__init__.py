"""Lowers the syntax tree of one file to facts.

Expressions are lowered in the order Python evaluates them, by functions kept in a table by node type: each records
the calls, reads and bindings it meets in a `ScopeBuilder` and returns the small tuple that stands for its value.
"""

from __future__ import annotations

import ast

from turnlane.checker.python.facts import Cell, Module, Span
from turnlane.checker.python.lowering import definitions, patterns, statements  # noqa: F401  (they fill the tables)
from turnlane.checker.python.lowering.builder import ModuleBuilder, ScopeBuilder
from turnlane.checker.python.lowering.imports import note_dynamic_imports
from turnlane.checker.python.lowering.statements import lower_body, starts_with_docstring


def lower_module(
    tree: ast.Module,
    path: str,
    *,
    cells: tuple[Cell, ...] = (),
    problems: tuple[tuple[int, str], ...] = (),
    recovered: bool = False,
) -> Module:
    """The facts of `tree`; `problems` are those known already, and stand first."""
    builder = ModuleBuilder()
    builder.problems.extend(problems)
    scope = ScopeBuilder(builder, "module", "", -1, -1)
    scope.docstring = starts_with_docstring(tree.body)
    last = tree.body[-1].end_lineno if tree.body else None
    scope.span = Span(1, 0, last or 1, 0)
    scope.line = 1
    scope.open_body(1, last or 1)
    lower_body(scope, tree.body)
    scope.finish()
    note_dynamic_imports(builder)
    return builder.module(path, cells, recovered)


__all__ = ["lower_module"]
