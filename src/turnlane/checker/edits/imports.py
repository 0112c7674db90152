"""Adds `import module` where it is missing."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from turnlane.checker.edits.code import Change, Code


def bind_module(code: Code, module: str, line: int) -> tuple[str, list[Change]] | None:
    """The name by which line `line` can use a top-level module, and the import that this takes, if any.

    None when the module's name has another meaning in the program.
    """
    for statement in _visible_imports(code, line):
        for alias in statement.names:
            if alias.name == module:
                return None if code.assigns(alias.asname or module) else (alias.asname or module, [])
    if code.assigns(module) or code.imported.get(module, module) != module:
        return None
    added = add_import(code, module, line)
    return None if added is None else (module, added)


def add_import(code: Code, module: str, line: int = 1) -> list[Change] | None:
    """The change that adds `import module` to the program's imports: none where it is there already.

    In a notebook it goes to the cell that has `line`. None when there is no place that is sure to be right.
    """
    if any(
        alias.name == module and not alias.asname
        for found in _visible_imports(code, line)
        for alias in found.names
    ):
        return []
    body = _body(code, line)
    imports = _first_imports(body)
    if imports:
        return _beside(code, module, imports)
    start = [node for node in body if not _stands_first(node, body)]
    head = body[: len(body) - len(start)]
    if head:
        return _below(code, module, head[-1])
    return _above(code, module, start[0]) if start else None


def _visible_imports(code: Code, line: int) -> list[ast.Import]:
    """The `import` statements that have run when `line` does: of the module's own body, in a notebook above it."""
    cell = code.cell(line)
    last = cell.first_line + cell.lines if cell else 0
    found: list[ast.Import] = []
    for node in code.tree.body:
        inner = node.body if isinstance(node, ast.Try) else [node]
        found += [each for each in inner if isinstance(each, ast.Import) and (not last or each.lineno < last)]
    return found


def _body(code: Code, line: int) -> list[ast.stmt]:
    """The statements among which the import goes: the module's, or the cell's."""
    cell = code.cell(line)
    if cell is None:
        return code.tree.body
    last = cell.first_line + cell.lines
    return [node for node in code.tree.body if cell.first_line <= node.lineno < last and not _is_magic(node)]


def _is_magic(node: ast.stmt) -> bool:
    """Whether the statement stands for a magic: `ipython.as_python` writes a `0`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value == 0


def _stands_first(node: ast.stmt, body: list[ast.stmt]) -> bool:
    """Whether nothing may stand above: the docstring and `from __future__` imports."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    value = node.value if node is body[0] and isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _first_imports(body: list[ast.stmt]) -> list[ast.stmt]:
    """The first imports in a row."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom) and not _stands_first(node, body):
            found.append(node)
        elif found or not _stands_first(node, body):
            break
    return found


def _beside(code: Code, module: str, imports: Sequence[ast.stmt]) -> list[Change] | None:
    """In the order of the alphabet among the plain imports of the first group, above the others."""
    group = imports[:1]
    for node in imports[1:]:
        if node.lineno > (group[-1].end_lineno or 0) + 1 or not isinstance(group[-1], ast.Import):
            break
        group = [*group, node]
    for node in group:
        if not isinstance(node, ast.Import) or node.names[0].name > module:
            return _above(code, module, node)
    return _below(code, module, group[-1])


def _above(code: Code, module: str, node: ast.stmt) -> list[Change] | None:
    line = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    at = code.line_start(line)
    if code.before(node).strip():
        return None
    space = "" if isinstance(node, ast.Import | ast.ImportFrom) else "\n"
    return [Change(at, at, f"import {module}\n{space}")]


def _below(code: Code, module: str, node: ast.stmt) -> list[Change] | None:
    rest = code.after(node).strip()
    if rest and not rest.startswith("#"):
        return None
    line = node.end_lineno or node.lineno
    at = code.line_start(line) + len(code.source.line(line))
    space = "" if isinstance(node, ast.Import) else "\n"
    return [Change(at, at, f"\n{space}import {module}")]
