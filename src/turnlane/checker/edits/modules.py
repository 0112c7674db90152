"""Edits of what a module does when it is imported."""

from __future__ import annotations

import ast
import bisect
from collections.abc import Collection, Iterator, Sequence

from turnlane.checker.edits.code import Change, Code, Function
from turnlane.checker.finding import Fix, Place
from turnlane.checker.python.facts import Span


def factory_for_module_object(
    code: Code, name: str, handlers: Sequence[Span | Place], stateful: Collection[str] = ()
) -> Fix | None:
    """`name = Agent(...)` of the module becomes `make_name()`, which each handler calls as its first statement.

    `handlers` are the spans of functions, with or without their decorators. None when `name` is used anywhere
    else, is assigned twice, or is made from one of `stateful`, other objects that must not be shared either.
    Unsafe: what the object remembered between calls is gone.
    """
    made = [node for node in code.tree.body if _assigned(node) == name]
    functions = [_function_at(code, span) for span in handlers]
    if len(made) != 1 or not functions or code.assigns(f"make_{name.lower()}"):
        return None
    inside = [function for function in functions if function is not None]
    if len(inside) != len(functions) or not _only_used_in(code, name, inside):
        return None
    changes = _factory(code, made[0], f"make_{name.lower()}", stateful)
    for function in dict.fromkeys(inside):
        first = _first_statement(code, function)
        if changes is None or first is None:
            return None
        line = f"{name} = make_{name.lower()}()\n{code.before(first)}"
        changes.append(Change(code.start(first), code.start(first), line))
    return None if changes is None else code.fix(f"Make a fresh `{name}` in each call", changes, safe=False)


def _assigned(node: ast.stmt) -> str:
    """The name that a plain or annotated assignment binds; empty for any other statement."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target = node.target
    return target.id if isinstance(target, ast.Name) else ""


def _function_at(code: Code, span: Span | Place) -> Function | None:
    at = Span(*span[1:]) if isinstance(span, Place) else span
    for node in ast.walk(code.tree):
        if isinstance(node, Function):
            starts = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
            if at.line in starts and (at.end_line, at.end_column) == (node.end_lineno, node.end_col_offset):
                return node
    return None


def _only_used_in(code: Code, name: str, functions: Sequence[ast.AST]) -> bool:
    """Whether every mention of `name` but its assignment is a read in the bodies of `functions`."""
    stored = 0
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            return False
        if (isinstance(node, ast.arg) and node.arg == name) or (isinstance(node, Function) and node.name == name):
            return False
        if isinstance(node, ast.Constant) and node.value == name and _is_exported(code, node):
            return False
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        if isinstance(node.ctx, ast.Load):
            if not any(_in_body(code, node, function) for function in functions):
                return False
        else:
            stored += 1
    return stored == 1


def _is_exported(code: Code, node: ast.Constant) -> bool:
    return any(isinstance(parent, ast.stmt) and _assigned(parent) == "__all__" for parent in code.ancestors(node))


def _in_body(code: Code, node: ast.AST, function: ast.AST) -> bool:
    child = node
    for parent in code.ancestors(node):
        if parent is function and isinstance(function, Function):
            return child in function.body
        child = parent
    return False


def _factory(code: Code, node: ast.stmt, factory: str, stateful: Collection[str]) -> list[Change] | None:
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    value = node.value
    if not isinstance(value, ast.Call) or code.before(node) or _semicolon(code, node):
        return None
    if any(isinstance(each, ast.Await | ast.NamedExpr | ast.Yield) for each in ast.walk(value)):
        return None
    if any(isinstance(each, ast.Name) and each.id in stateful for each in ast.walk(value)):
        return None
    head = code.source.text[code.start(node) : code.start(value)]
    if "#" in head or "(" in head.rpartition("=")[2] or "\\" in head:
        return None
    returns = f" -> {code.text(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    above, below = _blank_lines(code, node)
    kept, clients = _clients_kept(code, value)
    opening = f"{kept or above}def {factory}(){returns}:\n{code.indent}return "
    end = code.end(node) + len(code.after(node))
    changes = [Change(code.start(node), code.start(value), opening), *clients, Change(end, end, below)]
    return changes + list(_indented(code, node.lineno + 1, node.end_lineno or node.lineno))


def _clients_kept(code: Code, value: ast.Call) -> tuple[str, list[Change]]:
    """A client made among the arguments stays the module's: one for each call would cost more than the agent."""
    made = [
        node
        for node in ast.walk(value)
        if isinstance(node, ast.Call) and node is not value and code.text(node.func).endswith("Client")
    ]
    name = next((name for name in ("client", "model_client") if not code.assigns(name)), None)
    if len(made) != 1 or name is None or made[0].lineno != made[0].end_lineno:
        return "", []
    client = made[0]
    return f"{name} = {code.text(client)}\n\n\n", [Change(code.start(client), code.end(client), name)]


def _blank_lines(code: Code, node: ast.stmt) -> tuple[str, str]:
    """What has to be added around a statement that becomes a function, as formatters want it."""
    last = node.end_lineno or node.lineno
    cell = code.cell(node.lineno)
    first_line, end_line = (cell.first_line, cell.first_line + cell.lines) if cell else (1, len(code.source.lines))
    above, below = code.source.line(node.lineno - 1).strip(), code.source.line(last + 1).strip()
    starts = node.lineno == first_line or not above or above.startswith("#")
    ends = last + 1 >= end_line or not below
    return "" if starts else "\n\n", "" if ends else "\n\n"


def _semicolon(code: Code, node: ast.stmt) -> bool:
    rest = code.after(node).strip()
    return bool(rest) and not rest.startswith("#")


def _indented(code: Code, first: int, last: int) -> Iterator[Change]:
    """Move lines one step in; not the blank ones, nor those that start inside of a string."""
    for line in range(first, last + 1):
        if line not in code.string_lines and code.source.line(line).strip():
            yield Change(code.line_start(line), code.line_start(line), code.indent)


def _first_statement(code: Code, function: Function) -> ast.stmt | None:
    """The first statement below the docstring, when it begins a line of its own."""
    body = function.body
    first = body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        body = body[1:]
    if not body or getattr(body[0], "decorator_list", []) or code.before(body[0]).strip():
        return None
    return body[0]


def main_guard(code: Code, span: Span | Place, *, safe: bool = False) -> Fix | None:
    """Put the module's last statements, from the one at `span` on, under `if __name__ == "__main__":`.

    None in a notebook, when a definition follows, or when a function uses a name that the statements bind.
    """
    body = code.tree.body
    starts = [(node.lineno, node.col_offset) for node in body]
    index = bisect.bisect_right(starts, (span.line, span.column)) - 1
    moved = body[index:]
    if (
        code.cells
        or index < 0
        or not all(isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign) for node in moved)
    ):
        return None
    if code.before(moved[0]):
        return None
    bound = {
        each.id for node in moved for each in ast.walk(node) if isinstance(each, ast.Name) and _is_stored(each)
    }
    if any(isinstance(each, ast.Name) and each.id in bound for node in body[:index] for each in ast.walk(node)):
        return None
    first, last = moved[0].lineno, moved[-1].end_lineno or moved[-1].lineno
    at = code.line_start(first)
    guard = Change(at, at, f'if __name__ == "__main__":\n{code.indent}')
    changes = [guard, *_indented(code, first + 1, last)]
    return code.fix("Run it only as a script", changes, safe=safe)


def _is_stored(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)
