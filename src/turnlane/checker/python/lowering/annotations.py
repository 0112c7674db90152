"""Annotations: as other expressions, but texts in them are parsed and `A | B` is a choice."""

from __future__ import annotations

import ast
import warnings

from turnlane.checker.python.facts import Choice, Expression, Items, Subscript
from turnlane.checker.python.lowering.builder import ScopeBuilder
from turnlane.checker.python.lowering.expressions import lower, name

LONGEST_ANNOTATION = 1000
"""In characters; a longer text is no type."""


def annotation(s: ScopeBuilder, node: ast.expr) -> Expression:
    """Lower the annotation `node`; it stands in scope `s`, around the function or class it belongs to."""
    kind = type(node)
    if kind is ast.Name:
        return name(s, node, "other", -1)  # type: ignore[arg-type]
    if kind is ast.Constant:
        return _quoted(s, node)  # type: ignore[arg-type]
    if kind is ast.Subscript:
        return _generic(s, node)  # type: ignore[arg-type]
    if kind is ast.BinOp and isinstance(node.op, ast.BitOr):  # type: ignore[attr-defined]
        return _union(s, node)  # type: ignore[arg-type]
    if isinstance(node, ast.Tuple | ast.List):
        return _several(s, node)
    return lower(s, node)


def _several(s: ScopeBuilder, node: ast.Tuple | ast.List) -> Expression:
    kind = "tuple" if isinstance(node, ast.Tuple) else "list"
    return Items(kind, tuple([annotation(s, part) for part in node.elts]))  # type: ignore[arg-type]


def _generic(s: ScopeBuilder, node: ast.Subscript) -> Expression:
    base = lower(s, node.value, "subscript")
    last = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    if last == "Literal":
        return Subscript(base, lower(s, node.slice))
    if last == "Annotated" and isinstance(node.slice, ast.Tuple) and node.slice.elts:
        of, *extras = node.slice.elts
        return Subscript(base, Items("tuple", (annotation(s, of), *[lower(s, extra, "item") for extra in extras])))
    return Subscript(base, annotation(s, node.slice))


def _union(s: ScopeBuilder, node: ast.BinOp) -> Expression:
    options: list[ast.expr] = [node.right]
    left = node.left
    while isinstance(left, ast.BinOp):
        options.append(left.right)
        left = left.left
    options.append(left)
    return Choice(tuple([annotation(s, option) for option in reversed(options)]))


def _quoted(s: ScopeBuilder, node: ast.Constant) -> Expression:
    """`"AssistantAgent"`: what stands in the text has the place of the whole text."""
    text = node.value
    if not isinstance(text, str) or len(text) > LONGEST_ANNOTATION:
        return lower(s, node)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return lower(s, node)
    for part in ast.walk(tree):
        ast.copy_location(part, node)
    return annotation(s, tree)
