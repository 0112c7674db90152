"""Edits that replace event loops made by hand, and patched ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from turnlane.checker.edits.code import Change, Code, Function
from turnlane.checker.edits.deletion import delete
from turnlane.checker.edits.imports import bind_module
from turnlane.checker.finding import Fix, Place
from turnlane.checker.python.facts import Span

_GETTERS: Final = {"asyncio.get_event_loop", "asyncio.new_event_loop"}
_SETTER: Final = "asyncio.set_event_loop"
_FUTURES: Final = {
    "gather",
    "ensure_future",
    "create_task",
    "shield",
    "run_in_executor",
    "run_coroutine_threadsafe",
}
"""They return futures, which `asyncio.run` does not take."""


def legacy_loop(code: Code, span: Span | Place) -> Fix | None:
    """`asyncio.run(main())` for `loop.run_until_complete(main())`; what only made or closed the loop is deleted.

    `span` is the call of `run_until_complete`, or the call that got the loop. Safe when `main` is an `async def`
    of the file. None in async code, in a notebook's cell, when the loop has another use or is run several times.
    """
    call = code.expression(span, ast.Call)
    runner = call if call is None or _is_run(call) else _runner_of(code, call)
    if runner is None or not _runs_once(code, runner) or not _is_coroutine(runner):
        return None
    assert isinstance(runner.func, ast.Attribute)
    receiver = runner.func.value
    if _gets_loop(code, receiver):
        doomed: list[ast.stmt] | None = []
    else:
        doomed = loop_statements(code, [receiver]) if isinstance(receiver, ast.Name) else None
    if doomed is None or _gets_another(code, runner, doomed):
        return None
    bound = bind_module(code, "asyncio", runner.lineno)
    if bound is None or (changes := without(code, doomed)) is None:
        return None
    name, added = bound
    replaced = Change(code.start(runner.func), code.end(runner.func), f"{name}.run")
    return code.fix("Run it with `asyncio.run`", [*changes, replaced, *added], safe=_is_local(code, runner))


def _is_run(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "run_until_complete"


def _gets_loop(code: Code, node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and not node.args and not node.keywords and code.dotted(node.func) in _GETTERS
    )


def _runner_of(code: Code, getter: ast.Call) -> ast.Call | None:
    """The call that runs the loop which `getter` got."""
    parent = code.parents.get(getter)
    if isinstance(parent, ast.Attribute):
        outer = code.parents.get(parent)
        return outer if isinstance(outer, ast.Call) and _is_run(outer) else None
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return None
    name = parent.targets[0].id
    runners = [
        node
        for node in ast.walk(code.scope(getter))
        if isinstance(node, ast.Call)
        and _is_run(node)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == name
        and not shuts_down(node)
    ]
    return runners[0] if len(runners) == 1 else None


def _runs_once(code: Code, runner: ast.Call) -> bool:
    """Whether `asyncio.run` may stand here, and is not repeated: each would have a loop of its own."""
    scope = code.scope(runner)
    if isinstance(scope, ast.AsyncFunctionDef | ast.GeneratorExp) or (
        isinstance(scope, ast.Module) and code.cells
    ):
        return False
    for parent in code.ancestors(runner):
        if parent is scope:
            break
        if isinstance(parent, ast.For | ast.While | ast.ListComp | ast.SetComp | ast.DictComp):
            return False
    return True


def _is_coroutine(runner: ast.Call) -> bool:
    """Whether the argument is a call, and not of something that returns a future."""
    if len(runner.args) != 1 or runner.keywords or not isinstance(runner.args[0], ast.Call):
        return False
    function = runner.args[0].func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name not in _FUTURES


def _is_local(code: Code, runner: ast.Call) -> bool:
    """Whether the argument surely is a coroutine: its function is the file's own `async def`."""
    function = runner.args[0].func if isinstance(runner.args[0], ast.Call) else None
    named = [node for node in ast.walk(code.tree) if isinstance(node, Function | ast.ClassDef)]
    same = [node for node in named if isinstance(function, ast.Name) and node.name == function.id]
    return bool(same) and all(
        isinstance(node, ast.AsyncFunctionDef) and not _is_generator(code, node) for node in same
    )


def _is_generator(code: Code, function: ast.AsyncFunctionDef) -> bool:
    yields = (node for node in ast.walk(function) if isinstance(node, ast.Yield))
    return bool(function.decorator_list) or any(code.scope(node) is function for node in yields)


def _gets_another(code: Code, runner: ast.Call, doomed: list[ast.stmt]) -> bool:
    """Whether the function gets the loop elsewhere too, and so may do more with it than is seen here."""
    ours = {node for statement in doomed for node in ast.walk(statement)} | set(ast.walk(runner))
    scope = code.scope(runner)
    return any(
        isinstance(node, ast.expr) and _gets_loop(code, node) and node not in ours and code.scope(node) is scope
        for node in ast.walk(scope)
    )


def loop_statements(code: Code, runs: Sequence[ast.Name]) -> list[ast.stmt] | None:
    """The statements that make, set and close a loop; None when it has any other use than `runs`, in one scope."""
    scope, loop = code.scope(runs[0]), runs[0].id
    if isinstance(scope, ast.Lambda | ast.ClassDef):
        return None
    doomed: list[ast.stmt] = []
    for use in _uses(code, scope, loop):
        statement = code.statement(use)
        if use in runs:
            continue
        if code.scope(use) is not scope or statement is None or not _only_manages(code, statement, loop):
            return None
        doomed.append(statement)
    return doomed if any(isinstance(node, ast.Assign) for node in doomed) else None


def _uses(code: Code, scope: ast.AST, name: str) -> Iterator[ast.AST]:
    """Every mention of a scope's variable: also by functions inside that have no variable of that name."""
    nodes: list[ast.AST] = [scope]
    while nodes:
        node = nodes.pop()
        if node is not scope and isinstance(node, Function) and _is_local_to(node, name):
            continue
        if _mentions(node, name):
            yield node
        nodes += ast.iter_child_nodes(node)


def _mentions(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Global | ast.Nonlocal):
        return name in node.names
    return name == (node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else None)


def _is_local_to(function: ast.AST, name: str) -> bool:
    nodes = list(ast.walk(function))
    if any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in nodes):
        return False
    return any(
        (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.arg) and node.arg == name)
        for node in nodes
    )


def _only_manages(code: Code, statement: ast.stmt, loop: str) -> bool:
    """Whether a statement does nothing but make, set or close the loop."""
    if isinstance(statement, ast.Assign):
        target = statement.targets[0] if len(statement.targets) == 1 else None
        return isinstance(target, ast.Name) and target.id == loop and _gets_loop(code, statement.value)
    if not isinstance(statement, ast.Expr) or not isinstance(call := statement.value, ast.Call):
        return False
    if code.dotted(call.func) == _SETTER:
        return len(call.args) == 1 and isinstance(call.args[0], ast.Name)
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        return False
    return (call.func.attr == "close" and not call.args) or (_is_run(call) and shuts_down(call))


def makes_loop(code: Code, name: ast.Name) -> bool:
    """Whether a statement of the scope of `name` makes a new loop of that name."""
    scope = code.scope(name)
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and code.dotted(node.value.func) == "asyncio.new_event_loop"
        and any(isinstance(target, ast.Name) and target.id == name.id for target in node.targets)
        for node in ast.walk(scope)
    )


def shuts_down(call: ast.Call) -> bool:
    """`loop.run_until_complete(loop.shutdown_asyncgens())`, which `asyncio.run` does by itself."""
    inner = call.args[0] if len(call.args) == 1 else None
    return (
        isinstance(inner, ast.Call)
        and not inner.args
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr in {"shutdown_asyncgens", "shutdown_default_executor"}
        and isinstance(inner.func.value, ast.Name)
    )


def without(code: Code, doomed: list[ast.stmt]) -> list[Change] | None:
    """The changes that delete statements; a `finally` that only closed the loop goes with them."""
    changes: list[Change] = []
    left = set(doomed)
    for node in ast.walk(code.tree):
        if not isinstance(node, ast.Try) or not node.finalbody or not left.issuperset(node.finalbody):
            continue
        if left.issuperset(node.body):
            continue
        cut = _cut_finally(code, node)
        if cut is None:
            return None
        changes += cut
        left.difference_update(node.finalbody)
    return changes + delete(code, left, keep_comments=True)


def _cut_finally(code: Code, node: ast.Try) -> list[Change] | None:
    """Delete the `finally` clause, and the `try` too when it has no other clause."""
    clauses = [*node.body, *(each for handler in node.handlers for each in handler.body), *node.orelse]
    end = clauses[-1].end_lineno or clauses[-1].lineno
    last = node.finalbody[-1]
    line = next(number for number in range(end + 1, last.lineno + 1) if _is_finally(code, number))
    rest = code.after(last).strip()
    if node.finalbody[0].lineno == line or (rest and not rest.startswith("#")):
        return None
    cut = Change(code.line_start(line), code.line_start((last.end_lineno or last.lineno) + 1), "")
    if node.handlers:
        return [cut]
    dedented = _dedented(code, node, end)
    return None if dedented is None else [*dedented, cut]


def _is_finally(code: Code, line: int) -> bool:
    return code.source.line(line).lstrip().startswith("finally")


def _dedented(code: Code, node: ast.Try, end: int) -> list[Change] | None:
    """Delete the `try:` line, and move its body one step out."""
    if node.orelse or node.body[0].lineno == node.lineno or "#" in code.source.line(node.lineno):
        return None
    outer, inner = code.before(node), code.before(node.body[0])
    if outer.strip() or not inner.startswith(outer) or code.string_lines.intersection(range(node.lineno, end + 1)):
        return None
    changes = [Change(code.line_start(node.lineno), code.line_start(node.lineno + 1), "")]
    for line in range(node.lineno + 1, end + 1):
        if code.source.line(line).startswith(inner):
            start = code.line_start(line)
            changes.append(Change(start + len(outer), start + len(inner), ""))
        elif code.source.line(line).strip() and not code.source.line(line).lstrip().startswith("#"):
            return None
    return changes


# --- nest_asyncio ------------------------------------------------------------------------------------------------


def remove_nest_asyncio(code: Code, *, safe: bool = False) -> Fix | None:
    """Delete the imports of `nest_asyncio` and its `apply()`; None when anything else of the file uses it.

    Safe only where no loop is run inside of another, which the caller knows.
    """
    names = {name for name, dotted in code.imported.items() if dotted.split(".")[0] == "nest_asyncio"}
    doomed: set[ast.stmt] = set()
    changes: list[Change | None] = []
    mentions: set[ast.AST] = set()
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and (gone := _imports(node)):
            if len(gone) == len(node.names):
                doomed.add(node)
            else:
                changes.append(_without_aliases(code, node))
        elif isinstance(node, ast.Expr) and _applied(code, node) is not None:
            doomed.add(node)
        elif isinstance(node, ast.Name) and node.id in names:
            mentions.add(node)
    applied = {_applied(code, node) for node in doomed if isinstance(node, ast.Expr)}
    if not names or mentions - applied or None in changes:
        return None
    kept = [change for change in changes if change is not None]
    return code.fix("Remove `nest_asyncio`", kept + delete(code, doomed, keep_comments=False), safe=safe)


def _imports(node: ast.Import | ast.ImportFrom) -> list[ast.alias]:
    """The names of the statement that come from `nest_asyncio`."""
    if isinstance(node, ast.ImportFrom):
        return node.names if node.module == "nest_asyncio" and not node.level else []
    return [alias for alias in node.names if alias.name.split(".")[0] == "nest_asyncio"]


def _without_aliases(code: Code, node: ast.Import | ast.ImportFrom) -> Change | None:
    if "\\" in code.text(node):
        return None
    gone = _imports(node)
    kept = [ast.unparse(alias) for alias in node.names if alias not in gone]
    return Change(code.start(node), code.end(node), "import " + ", ".join(kept))


def _applied(code: Code, node: ast.Expr) -> ast.AST | None:
    """The name at the root of `nest_asyncio.apply()`, when the statement is one and its argument a plain name."""
    call = node.value
    if not isinstance(call, ast.Call) or code.dotted(call.func) != "nest_asyncio.apply":
        return None
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not all(isinstance(each, ast.Name | ast.Constant) or _gets_loop(code, each) for each in arguments):
        return None
    return call.func.value if isinstance(call.func, ast.Attribute) else call.func
