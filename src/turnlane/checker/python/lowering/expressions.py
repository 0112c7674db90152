"""Expressions: what is called, what is read, and what the value is.

`use` and `user` say how the surrounding code uses the value (see `facts.Use`); `user` is a ticket of the scope.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from turnlane.checker.python.facts import (
    OTHER,
    Assignment,
    Attribute,
    Awaited,
    Choice,
    Constant,
    Element,
    Expression,
    Items,
    Other,
    Span,
    Starred,
    Subscript,
    Text,
    Unpacked,
    Use,
    Yield,
)
from turnlane.checker.python.lowering.builder import CALL_REFS, ScopeBuilder, new, span_of

Lower = Callable[[ScopeBuilder, Any, Use, int], Expression]

NONE = Constant(None)
TRUE = Constant(True)
FALSE = Constant(False)

LARGEST_NUMBER = 1 << 63
LONGEST_CHAIN = 50
"""Attributes of attributes; beyond it, only the object that the chain starts from is kept."""


class _Table(dict[type, Lower]):
    """By node type; a type that a newer Python brings is lowered by its parts."""

    def __missing__(self, kind: type) -> Lower:
        self[kind] = unknown
        return unknown


EXPRESSIONS = _Table()


def lower(s: ScopeBuilder, node: ast.AST, use: Use = "other", user: int = -1) -> Expression:
    """Record what `node` does and return what it stands for."""
    return EXPRESSIONS[type(node)](s, node, use, user)


def other(values: Iterable[Expression]) -> Expression:
    """What is of no interest itself, with its interesting parts; `is None` tests keep their None."""
    parts: list[Expression] = []
    for value in values:
        kind = type(value)
        if kind is Other:
            parts.extend(value.parts)  # type: ignore[union-attr]
        elif kind is not Constant or value == NONE:
            parts.append(value)
    return new(Other, (tuple(parts),)) if parts else OTHER


def unknown(s: ScopeBuilder, node: ast.AST, use: Use, user: int) -> Expression:
    return other([lower(s, child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)])


# --- Names, attributes, constants ----------------------------------------------------------------------------


def name(s: ScopeBuilder, node: ast.Name, use: Use, user: int) -> Expression:
    id = node.id
    s.reads.append((id, node.lineno, node.col_offset, s.block, use, user, ""))
    return s.module.names[id]


def attribute(s: ScopeBuilder, node: ast.Attribute, use: Use, user: int) -> Expression:
    base = node.value
    if type(base) is ast.Name:
        s.reads.append((base.id, base.lineno, base.col_offset, s.block, "attribute", -1, node.attr))
        return name_attribute(s, base.id, node.attr)
    if type(base) is ast.Attribute:
        return _attributes(s, node)
    return new(Attribute, (EXPRESSIONS[type(base)](s, base, "attribute", -1), node.attr))  # type: ignore[no-any-return]


def name_attribute(s: ScopeBuilder, id: str, attr: str) -> Attribute:
    """`id.attr`, one for each in the module."""
    module = s.module
    key = (id, attr)
    made = module.attributes.get(key)
    if made is None:
        made = module.attributes[key] = new(Attribute, (module.names[id], attr))
    return made


def _attributes(s: ScopeBuilder, node: ast.Attribute) -> Expression:
    """`a.b.c.d`: without recursion, since generated code has very long ones."""
    chain: list[str] = []
    base: ast.expr = node
    while isinstance(base, ast.Attribute):
        chain.append(base.attr)
        base = base.value
    if isinstance(base, ast.Name):
        first = chain.pop()
        s.reads.append((base.id, base.lineno, base.col_offset, s.block, "attribute", -1, first))
        value: Expression = name_attribute(s, base.id, first)
    else:
        value = lower(s, base, "attribute")
    if len(chain) > LONGEST_CHAIN:
        return other([value])
    for attr in reversed(chain):
        value = new(Attribute, (value, attr))
    return value


def constant(s: ScopeBuilder, node: ast.Constant, use: Use, user: int) -> Expression:
    value = node.value
    if type(value) is str:
        return s.module.texts[value]
    if value is None:
        return NONE
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    if type(value) is float or (type(value) is int and value < LARGEST_NUMBER):
        return new(Constant, (value,))  # type: ignore[no-any-return]
    return OTHER


def joined(s: ScopeBuilder, node: ast.JoinedStr, use: Use, user: int) -> Expression:
    return text([lower(s, value) for value in node.values])


def formatted(s: ScopeBuilder, node: ast.FormattedValue, use: Use, user: int) -> Expression:
    value = lower(s, node.value)
    if node.format_spec is None:
        return value
    specification = lower(s, node.format_spec)
    return other([value, *specification.parts]) if isinstance(specification, Text) else value


def text(values: Iterable[Expression]) -> Text:
    """A text put together from `values`: the texts among them give their parts, the constants nothing."""
    parts: list[Expression] = []
    for value in values:
        if isinstance(value, Text | Other):
            parts.extend(value.parts)
        elif not isinstance(value, Constant):
            parts.append(value)
    return Text(tuple(parts))


# --- Calls ---------------------------------------------------------------------------------------------------


def call(s: ScopeBuilder, node: ast.Call, use: Use, user: int) -> Expression:
    order = s.order
    ticket = len(order)
    order.append(-1)
    callee = _callee(s, node.func, ticket)
    table = EXPRESSIONS
    arguments: tuple[Expression, ...] = ()
    if node.args:
        arguments = tuple([table[type(value)](s, value, "argument", ticket) for value in node.args])
    keywords: tuple[tuple[str, Expression], ...] = ()
    if node.keywords:
        keywords = tuple(
            [(k.arg or "", table[type(k.value)](s, k.value, "argument", ticket)) for k in node.keywords]
        )
    number = order[ticket] = len(s.calls)
    span = new(Span, (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset))
    s.calls.append((callee, arguments, keywords, span, s.block, use, user))
    return CALL_REFS[number]


def _callee(s: ScopeBuilder, node: ast.expr, ticket: int) -> Expression:
    kind = type(node)
    if kind is ast.Attribute:
        base = node.value  # type: ignore[attr-defined]
        if type(base) is ast.Name:
            attr: str = node.attr  # type: ignore[attr-defined]
            s.reads.append((base.id, base.lineno, base.col_offset, s.block, "callee", ticket, attr))
            return name_attribute(s, base.id, attr)
    return EXPRESSIONS[kind](s, node, "callee", ticket)


def awaited(s: ScopeBuilder, node: ast.Await, use: Use, user: int) -> Expression:
    return new(Awaited, (lower(s, node.value, "awaited"),))  # type: ignore[no-any-return]


def starred(s: ScopeBuilder, node: ast.Starred, use: Use, user: int) -> Expression:
    return Starred(lower(s, node.value, use, user))


# --- Choices and operators -----------------------------------------------------------------------------------


def conditional(s: ScopeBuilder, node: ast.IfExp, use: Use, user: int) -> Expression:
    options: list[Expression] = []
    rest: ast.expr = node
    while isinstance(rest, ast.IfExp):
        lower(s, rest.test, "tested")
        options.append(lower(s, rest.body, use, user))
        rest = rest.orelse
    options.append(lower(s, rest, use, user))
    return Choice(tuple(options))


def boolean(s: ScopeBuilder, node: ast.BoolOp, use: Use, user: int) -> Expression:
    return Choice(tuple([lower(s, value, use, user) for value in node.values]))


def compare(s: ScopeBuilder, node: ast.Compare, use: Use, user: int) -> Expression:
    left = lower(s, node.left, "tested")
    return other([left, *[lower(s, value, "tested") for value in node.comparators]])


def binary(s: ScopeBuilder, node: ast.BinOp, use: Use, user: int) -> Expression:
    operands: list[ast.expr] = [node.right]
    left = node.left
    while isinstance(left, ast.BinOp):  # a sum of thousands of texts is not rare in generated code
        operands.append(left.right)
        left = left.left
    operands.append(left)
    values = [lower(s, operand) for operand in reversed(operands)]
    if isinstance(node.op, ast.Add | ast.Mod) and any(map(_is_text, values)):
        return text(values)
    return other(values)


def _is_text(value: Expression) -> bool:
    return isinstance(value, Text) or (isinstance(value, Constant) and isinstance(value.value, str))


def unary(s: ScopeBuilder, node: ast.UnaryOp, use: Use, user: int) -> Expression:
    inside: Use = "tested" if isinstance(node.op, ast.Not) else "other"
    operand = node.operand
    while isinstance(operand, ast.UnaryOp):
        operand = operand.operand
    value = lower(s, operand, inside)
    if isinstance(node.op, ast.USub) and operand is node.operand and isinstance(value, Constant):
        return Constant(-value.value) if isinstance(value.value, int | float) else OTHER
    return other([value])


def subscript(s: ScopeBuilder, node: ast.Subscript, use: Use, user: int) -> Expression:
    base = lower(s, node.value, "subscript")
    return new(Subscript, (base, lower(s, node.slice)))  # type: ignore[no-any-return]


def slice_(s: ScopeBuilder, node: ast.Slice, use: Use, user: int) -> Expression:
    return other([lower(s, bound) for bound in (node.lower, node.upper, node.step) if bound is not None])


# --- Displays and comprehensions -----------------------------------------------------------------------------


def _items(s: ScopeBuilder, nodes: Iterable[ast.expr]) -> tuple[Expression, ...]:
    table = EXPRESSIONS
    return tuple([table[type(node)](s, node, "item", -1) for node in nodes])


def list_(s: ScopeBuilder, node: ast.List, use: Use, user: int) -> Expression:
    return Items("list", _items(s, node.elts))


def tuple_(s: ScopeBuilder, node: ast.Tuple, use: Use, user: int) -> Expression:
    return Items("tuple", _items(s, node.elts))


def set_(s: ScopeBuilder, node: ast.Set, use: Use, user: int) -> Expression:
    return Items("set", _items(s, node.elts))


def dict_(s: ScopeBuilder, node: ast.Dict, use: Use, user: int) -> Expression:
    keys: list[Expression] = []
    values: list[Expression] = []
    for key, value in zip(node.keys, node.values, strict=True):
        keys.append(NONE if key is None else lower(s, key, "item"))
        values.append(lower(s, value, "item"))
    return Items("dict", tuple(values), tuple(keys))


def list_of(s: ScopeBuilder, node: ast.ListComp, use: Use, user: int) -> Expression:
    around = _open_loops(s, node, node.generators)
    element = lower(s, node.elt, "item")
    s.block = around
    return Items("list", (element,), each=True)


def set_of(s: ScopeBuilder, node: ast.SetComp, use: Use, user: int) -> Expression:
    around = _open_loops(s, node, node.generators)
    element = lower(s, node.elt, "item")
    s.block = around
    return Items("set", (element,), each=True)


def generator_of(s: ScopeBuilder, node: ast.GeneratorExp, use: Use, user: int) -> Expression:
    around = _open_loops(s, node, node.generators)
    element = lower(s, node.elt, "item")
    s.block = around
    return Items("generator", (element,), each=True)


def dict_of(s: ScopeBuilder, node: ast.DictComp, use: Use, user: int) -> Expression:
    around = _open_loops(s, node, node.generators)
    key = lower(s, node.key, "item")
    value = lower(s, node.value, "item")
    s.block = around
    return Items("dict", (value,), (key,), each=True)


def _open_loops(s: ScopeBuilder, node: ast.expr, loops: Sequence[ast.comprehension]) -> int:
    """Go into the blocks of a comprehension's loops; returns the block around them."""
    around = s.block
    for loop in loops:
        values = lower(s, loop.iter, "async iterated" if loop.is_async else "iterated")
        kind: Any = "async for" if loop.is_async else "for"
        s.open_block(kind, node.lineno, node.end_lineno or node.lineno, (values,))
        bind(s, loop.target, Element(values), span_of(loop.target))
        for condition in loop.ifs:
            lower(s, condition, "tested")
    return around


# --- Binding and yielding ------------------------------------------------------------------------------------


def named(s: ScopeBuilder, node: ast.NamedExpr, use: Use, user: int) -> Expression:
    if use == "awaited":
        value = lower(s, node.value, use, user)
    else:
        ticket = len(s.order)
        s.order.append(-1)
        value = lower(s, node.value, "assigned", ticket)
        s.order[ticket] = len(s.assignments)
    bind(s, node.target, value, span_of(node))
    return value


def yielded(s: ScopeBuilder, node: ast.Yield | ast.YieldFrom, use: Use, user: int) -> Expression:
    value = NONE if node.value is None else lower(s, node.value, "yielded")
    s.yields.append(Yield(value, span_of(node), s.block))
    return OTHER


def bind(
    s: ScopeBuilder,
    target: ast.expr,
    value: Expression,
    span: Span,
    augmented: bool = False,
    annotation: Expression | None = None,
) -> None:
    """Record that `target` gets `value`; an unpacking is one assignment for each of its names."""
    kind = type(target)
    if kind is ast.Name:
        place: Expression = s.module.names[target.id]  # type: ignore[attr-defined]
    elif kind is ast.Attribute or kind is ast.Subscript:
        place = lower(s, target)
    elif isinstance(target, ast.Tuple | ast.List):
        return _unpack(s, target.elts, value, span)
    elif isinstance(target, ast.Starred):
        return bind(s, target.value, value, span)  # no program: the parser lets it pass
    else:
        lower(s, target)  # nor this
        return None
    made = new(Assignment, (place, value, span, s.block, augmented, annotation, len(s.calls)))
    s.assignments.append(made)
    return None


def _unpack(s: ScopeBuilder, targets: Sequence[ast.expr], value: Expression, span: Span) -> None:
    """`a, *b, c = value`: parts 0 and -1, and a slice between."""
    if isinstance(value, Items) and _pairs(targets, value):
        for target, part in zip(targets, value.values, strict=True):
            bind(s, target, part, span)
        return
    count = len(targets)
    number = 0
    for target in targets:
        if isinstance(target, ast.Starred):
            number -= count
            bind(s, target.value, Subscript(value, OTHER), span)
        else:
            bind(s, target, Unpacked(value, number), span)
        number += 1


def _pairs(targets: Sequence[ast.expr], value: Items) -> bool:
    """Whether each target is bound to one part of a display: `a, b = x, y`."""
    return (
        len(targets) == len(value.values)
        and value.kind in ("tuple", "list")
        and not value.each
        and not any(isinstance(target, ast.Starred) for target in targets)
        and not any(isinstance(part, Starred) for part in value.values)
    )


EXPRESSIONS.update(
    {
        ast.Name: name,
        ast.Attribute: attribute,
        ast.Constant: constant,
        ast.JoinedStr: joined,
        ast.FormattedValue: formatted,
        ast.Call: call,
        ast.Await: awaited,
        ast.Starred: starred,
        ast.IfExp: conditional,
        ast.BoolOp: boolean,
        ast.Compare: compare,
        ast.BinOp: binary,
        ast.UnaryOp: unary,
        ast.Subscript: subscript,
        ast.Slice: slice_,
        ast.List: list_,
        ast.Tuple: tuple_,
        ast.Set: set_,
        ast.Dict: dict_,
        ast.ListComp: list_of,
        ast.SetComp: set_of,
        ast.GeneratorExp: generator_of,
        ast.DictComp: dict_of,
        ast.NamedExpr: named,
        ast.Yield: yielded,
        ast.YieldFrom: yielded,
    }
)
