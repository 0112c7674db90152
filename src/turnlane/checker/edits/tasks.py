"""Edits of tasks that nobody keeps: awaited, or kept until they are done."""

from __future__ import annotations

import ast
from typing import Final

from turnlane.checker.edits.awaits import await_argument
from turnlane.checker.edits.code import Change, Code, Function
from turnlane.checker.edits.imports import bind_module
from turnlane.checker.finding import Fix, Place
from turnlane.checker.python.facts import Span

_TASKS: Final = "background_tasks"


def keep_task(code: Code, span: Span | Place, *, awaited: bool = True) -> Fix | None:
    """The dropped `asyncio.create_task(x)` at `span` becomes `await x`; unsafe, since the code below then waits.

    Without `awaited` the task is kept in a set of the module until it is done, and goes on in the background.
    """
    call = code.expression(span, ast.Call)
    if call is None or not isinstance(statement := code.parents.get(call), ast.Expr):
        return None
    if awaited:
        changes = None if call.keywords else await_argument(code, call)
        return None if changes is None else code.fix("Await it", changes, safe=False)
    return _kept(code, call, statement)


def _kept(code: Code, call: ast.Call, statement: ast.Expr) -> Fix | None:
    function = code.scope(call)
    if not isinstance(function, Function) or code.before(statement).strip() or code.after(statement).strip():
        return None
    bound = bind_module(code, "asyncio", call.lineno)
    if bound is None or "task" in _names(function) or _TASKS in _local_names(function):
        return None
    declared = _declaration(code, call.lineno, bound[0])
    if declared is None:
        return None
    end = code.end(statement)
    indent = "\n" + code.before(statement)
    changes = [
        Change(code.start(call), code.start(call), "task = "),
        Change(end, end, f"{indent}{_TASKS}.add(task){indent}task.add_done_callback({_TASKS}.discard)"),
    ]
    return code.fix("Keep the task until it is done", changes + declared + bound[1], safe=False)


def _declaration(code: Code, line: int, asyncio: str) -> list[Change] | None:
    """Make the set that keeps tasks, above the first definition: one place for all fixes of the file."""
    if code.assigns(_TASKS):
        return [] if any(_makes_set(node) for node in code.tree.body) else None
    imported = [node.lineno for node in code.tree.body if isinstance(node, ast.Import)]
    last_import = max((number for number in imported if number < line), default=0)
    outer = next(
        (
            node
            for node in code.tree.body
            if isinstance(node, Function | ast.ClassDef)
            and node.lineno > last_import
            and code.cell(node.lineno) == code.cell(line)
        ),
        None,
    )
    if outer is None or code.before(outer).strip() or outer.lineno > line:
        return None
    first = min([outer.lineno, *(decorator.lineno for decorator in outer.decorator_list)])
    cell = code.cell(first)
    while first > (cell.first_line if cell else 1) and code.source.line(first - 1).startswith("#"):
        first -= 1
    at = code.line_start(first)
    return [Change(at, at, f"{_TASKS}: set[{asyncio}.Task] = set()\n\n\n")]


def _makes_set(node: ast.stmt) -> bool:
    """`background_tasks = set()`, with or without an annotation."""
    target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    named = isinstance(target, ast.Name) and target.id == _TASKS
    return named and isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "set"


def _local_names(function: ast.AST) -> set[str]:
    """What the function itself assigns or takes."""
    stored = {
        each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    return stored | {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}


def _names(node: ast.AST) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
