"""Edits of tests whether a function is async."""

from __future__ import annotations

import ast

from turnlane.checker.edits.code import Change, Code
from turnlane.checker.edits.imports import bind_module
from turnlane.checker.finding import Fix, Place
from turnlane.checker.python.facts import Span


def coroutine_test(code: Code, span: Span | Place, *, safe: bool = True) -> Fix | None:
    """`inspect.iscoroutinefunction(f)` for `hasattr(f, "__await__")` at `span`."""
    call = code.expression(span, ast.Call)
    if call is None or not isinstance(call.func, ast.Name) or call.func.id != "hasattr" or len(call.args) != 2:
        return None
    function, attribute = call.args
    bound = bind_module(code, "inspect", call.lineno)
    if not isinstance(attribute, ast.Constant) or attribute.value != "__await__" or bound is None:
        return None
    between = code.source.text[code.end(function) : code.end(call) - 1]
    if "#" in between or isinstance(function, ast.Starred):
        return None
    name, added = bound
    changes = [
        Change(code.start(call.func), code.end(call.func), f"{name}.iscoroutinefunction"),
        Change(code.end(function) + _closing(between), code.end(attribute), ""),
    ]
    return code.fix("Ask `inspect.iscoroutinefunction`", changes + added, safe=safe)


def _closing(text: str) -> int:
    """How much of `text` belongs to the argument before the comma: the parentheses around it."""
    return text.index(",")
