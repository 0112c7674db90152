"""Edits that await what was not awaited, or was run in a loop of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from typing import Final

from turnlane.checker.edits.code import Change, Code
from turnlane.checker.edits.imports import bind_module
from turnlane.checker.edits.loops import loop_statements, makes_loop, shuts_down, without
from turnlane.checker.finding import Edit, Fix, Place
from turnlane.checker.python.facts import Span

_RUNNERS: Final = {"asyncio.run", "asyncio.runners.run", "uvloop.run"}
"""They take a coroutine; `loop.run_until_complete` does too."""
_FUNCTION_RUNNERS: Final = {"anyio.run", "trio.run"}
"""They take a function and its arguments."""
_SPAWNERS: Final = {"create_task", "ensure_future", "start_soon"}
_ROUTES: Final = {"get", "post", "put", "delete", "patch", "head", "options", "route", "websocket", "api_route"}
_PLAIN_DECORATORS: Final = {"staticmethod", "classmethod"}
_COMMENT: Final = re.compile(r"#[^\r\n]*")
_TWINS: Final = {
    "initiate_chat": "a_initiate_chat",
    "initiate_chats": "a_initiate_chats",
    "generate_reply": "a_generate_reply",
    "generate_oai_reply": "a_generate_oai_reply",
    "get_human_input": "a_get_human_input",
    "execute_function": "a_execute_function",
    "send": "a_send",
    "receive": "a_receive",
    "resume": "a_resume",
    "run": "a_run",
    "run_chat": "a_run_chat",
    "run_swarm": "a_run_swarm",
}


def insert_await(code: Code, span: Span | Place, *, safe: bool = True) -> Fix | None:
    """Await the call (or the name) at `span`, where that is allowed: in an `async def` or a notebook's cell."""
    node = code.expression(span, ast.expr)
    if node is None or not isinstance(node, ast.Call | ast.Name):
        return None
    changes = _awaited(code, node)
    return None if changes is None else code.fix("Insert `await`", changes, safe=safe)


def unwrap_runner(code: Code, span: Span | Place, *, safe: bool = True) -> Fix | None:
    """`asyncio.run(x)` or `loop.run_until_complete(x)` at `span` to `await x`, where `await` is allowed.

    A loop that was made for it alone goes, with everything else that it runs.
    """
    call = code.expression(span, ast.Call)
    changes = None if call is None else _all_unwrapped(code, _of_same_loop(code, call))
    return None if changes is None else code.fix("Await it in the running event loop", changes, safe=safe)


def make_async(code: Code, span: Span | Place, callers: Sequence[tuple[Code, Span | Place]]) -> Fix | None:
    """The same in a plain `def`: it becomes async, and each of its `callers` (all of them) awaits it.

    None unless every caller may await; a caller inside of the function itself may.
    """
    call = code.expression(span, ast.Call)
    function = code.scope(call) if call is not None else None
    if not isinstance(function, ast.FunctionDef) or not _can_be_async(code, function):
        return None
    if _is_passed_on(code, function, [place for other, place in callers if other is code]):
        return None
    edits: list[Edit] = [code.edit(Change(code.start(function), code.start(function), "async "))]
    unwrapped = _all_unwrapped(code, _runners(code, function), {function})
    if unwrapped is None:
        return None
    edits += [code.edit(change) for change in unwrapped if change.text or change.start < change.end]
    for other, place in callers:
        node = other.expression(place, ast.Call)
        changes = None if node is None else _awaited(other, node, {function})
        if changes is None:
            return None
        edits += map(other.edit, changes)
    edits.sort(key=lambda edit: edit.place)
    return Fix(f"Make `{function.name}` async and await it", tuple(edits), False)


def async_twin(code: Code, span: Span | Place, twin: str = "", *, safe: bool = True) -> Fix | None:
    """`await user.a_initiate_chat(...)` for the call `user.initiate_chat(...)` at `span`.

    `twin` names the async method; without it, that of AutoGen's classic agents.
    """
    call = code.expression(span, ast.Call)
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    twin = twin or _TWINS.get(call.func.attr, "")
    changes = _awaited(code, call)
    if not twin or changes is None:
        return None
    end = code.end(call.func)
    changes.append(Change(end - len(call.func.attr), end, twin))
    return code.fix(f"Await `{twin}`", changes, safe=safe)


def async_sleep(code: Code, span: Span | Place, *, safe: bool = True) -> Fix | None:
    """`await asyncio.sleep(n)` for `time.sleep(n)` at `span`."""
    call = code.expression(span, ast.Call)
    if call is None or len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
        return None
    changes = _awaited(code, call)
    bound = bind_module(code, "asyncio", call.lineno)
    if changes is None or bound is None:
        return None
    name, added = bound
    changes.append(Change(code.start(call.func), code.end(call.func), f"{name}.sleep"))
    return code.fix("Sleep without blocking the event loop", changes + added, safe=safe)


# --- await ---------------------------------------------------------------------------------------------------


def _awaited(code: Code, node: ast.expr, made_async: Collection[ast.AST] = ()) -> list[Change] | None:
    """`await` before an expression, with parentheses where it needs them; None where it is not allowed."""
    parent = code.parents.get(node)
    if not code.can_await(node, made_async) or isinstance(parent, ast.Await) or _is_spawned(parent):
        return None
    start, end = code.start(node), code.end(node)
    if _binds_tighter(parent, node) and not _in_parentheses(code, node):
        return [Change(start, start, "(await "), Change(end, end, ")")]
    return [Change(start, start, "await ")]


def _is_spawned(parent: ast.AST | None) -> bool:
    """Whether the value is given to `create_task` and the like, which want it not awaited."""
    if not isinstance(parent, ast.Call):
        return False
    name = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
    return name in _SPAWNERS


def _binds_tighter(parent: ast.AST | None, node: ast.expr) -> bool:
    if isinstance(parent, ast.Attribute | ast.Subscript):
        return parent.value is node
    return isinstance(parent, ast.Call) and parent.func is node


def _in_parentheses(code: Code, node: ast.expr) -> bool:
    """Whether parentheses stand around an expression that is no call's argument."""
    text = code.source.text
    return text[: code.start(node)].rstrip().endswith("(") and text[code.end(node) :].lstrip().startswith(")")


# --- asyncio.run(x) ------------------------------------------------------------------------------------------


def is_runner(code: Code, call: ast.Call) -> bool:
    """Whether the call runs a coroutine in an event loop until it is done."""
    by_loop = isinstance(call.func, ast.Attribute) and call.func.attr == "run_until_complete"
    return by_loop or code.dotted(call.func) in _RUNNERS | _FUNCTION_RUNNERS


def _receiver(call: ast.Call) -> ast.Name | None:
    """`loop` in `loop.run_until_complete(x)`."""
    is_run = isinstance(call.func, ast.Attribute) and call.func.attr == "run_until_complete"
    value = call.func.value if isinstance(call.func, ast.Attribute) else None
    return value if is_run and isinstance(value, ast.Name) else None


def _of_same_loop(code: Code, call: ast.Call) -> list[ast.Call]:
    """The calls in the same function that the same loop runs, but those that end it."""
    loop, scope = _receiver(call), code.scope(call)
    if loop is None:
        return [call]
    calls = (node for node in ast.walk(scope) if isinstance(node, ast.Call) and not shuts_down(node))
    return [
        node for node in calls if (name := _receiver(node)) and name.id == loop.id and code.scope(node) is scope
    ]


def _all_unwrapped(
    code: Code, calls: Sequence[ast.Call], made_async: Collection[ast.AST] = ()
) -> list[Change] | None:
    """The changes that unwrap calls of one function, and delete what made and closed their loops."""
    changes: list[Change] = []
    loops: dict[str, list[ast.Name]] = {}
    for call in calls:
        unwrapped = _unwrapped(code, call, made_async)
        if unwrapped is None:
            return None
        changes += unwrapped
        if loop := _receiver(call):
            loops.setdefault(loop.id, []).append(loop)
    for runs in loops.values():
        statements = loop_statements(code, runs)
        if statements is None and makes_loop(code, runs[0]):
            return None  # it would be left open
        gone = without(code, statements or [])
        if gone is None:
            return None
        changes += gone
    return changes or None


def _unwrapped(code: Code, call: ast.Call, made_async: Collection[ast.AST] = ()) -> list[Change] | None:
    if not is_runner(code, call) or not code.can_await(call, made_async):
        return None
    if code.dotted(call.func) in _FUNCTION_RUNNERS:
        return _await_function(code, call)
    if any(keyword.arg != "debug" for keyword in call.keywords):
        return None
    return await_argument(code, call, made_async)


def await_argument(code: Code, call: ast.Call, made_async: Collection[ast.AST] = ()) -> list[Change] | None:
    """`await x` in place of `f(x)`."""
    parent = code.parents.get(call)
    if len(call.args) != 1 or isinstance(parent, ast.Await) or not code.can_await(call, made_async):
        return None
    argument = call.args[0]
    if isinstance(argument, ast.Starred | ast.GeneratorExp | ast.Await | ast.Lambda):
        return None
    bare = not _binds_tighter(parent, call) or _in_parentheses(code, call)
    opened, closed = ("await ", "") if bare else ("(await ", ")")
    start, end = code.start(call), code.end(call)
    head, tail = code.source.text[start : code.start(argument)], code.source.text[code.end(argument) : end]
    if "#" not in head + tail and _stands_alone(code, argument):
        return [Change(start, code.start(argument), opened), Change(code.end(argument), end, closed)]
    if "#" in code.text(call.func) or call.keywords:
        return None
    changes = [Change(start, code.end(call.func), opened), Change(end, end, closed)]
    comma = _COMMENT.sub(lambda comment: " " * len(comment[0]), tail).find(",")
    if comma >= 0:  # it would make a tuple
        at = code.end(argument) + comma
        changes.append(Change(at, at + 1, ""))
    return changes


def _stands_alone(code: Code, node: ast.expr) -> bool:
    """Whether `await` can take the expression as it is written, without parentheses around."""
    if not isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript):
        return False
    try:
        ast.parse(code.text(node), mode="eval")
    except SyntaxError:
        return False
    return True


def _await_function(code: Code, call: ast.Call) -> list[Change] | None:
    """`await f(a)` in place of `anyio.run(f, a)`."""
    if (
        not call.args
        or call.keywords
        or "#" in code.text(call)
        or not isinstance(code.parents.get(call), ast.stmt)
    ):
        return None
    function, arguments = call.args[0], call.args[1:]
    if not isinstance(function, ast.Name | ast.Attribute):
        return None
    rest = code.start(arguments[0]) if arguments else code.end(call)
    return [
        Change(code.start(call), code.start(function), "await "),
        Change(code.end(function), rest, "(" if arguments else "()"),
    ]


# --- def to async def ----------------------------------------------------------------------------------------


def _can_be_async(code: Code, function: ast.FunctionDef) -> bool:
    if function.name.startswith("__") and function.name.endswith("__"):
        return False
    if any(
        isinstance(node, ast.Yield | ast.YieldFrom) and code.scope(node) is function for node in ast.walk(function)
    ):
        return False
    return all(_allows_async(decorator) for decorator in function.decorator_list)


def _is_passed_on(code: Code, function: ast.FunctionDef, callers: Sequence[Span | Place]) -> bool:
    """Whether the file mentions a plain function elsewhere than where it is called, as a callback for one."""
    if isinstance(code.parents.get(function), ast.ClassDef):
        return False
    calls = [code.expression(place, ast.Call) for place in callers]
    called = {call.func for call in calls if call is not None}
    return any(
        isinstance(node, ast.Name) and node.id == function.name and node not in called
        for node in ast.walk(code.tree)
    )


def _allows_async(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Name):
        return decorator.id in _PLAIN_DECORATORS
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in _ROUTES
    )


def _runners(code: Code, function: ast.FunctionDef) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and is_runner(code, node)
        and not shuts_down(node)
        and code.scope(node) is function
    ]
