"""Statements: assignments, blocks, results."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from turnlane.checker.python.facts import (
    OTHER,
    BlockKind,
    Constant,
    Element,
    Entered,
    Expression,
    Items,
    Jump,
    Raise,
    Return,
    Use,
)
from turnlane.checker.python.lowering.annotations import annotation
from turnlane.checker.python.lowering.builder import ScopeBuilder, new, span_of
from turnlane.checker.python.lowering.definitions import class_, function
from turnlane.checker.python.lowering.expressions import EXPRESSIONS, NONE, bind, lower
from turnlane.checker.python.lowering.imports import import_, import_from
from turnlane.checker.python.lowering.patterns import capture

LowerStatement = Callable[[ScopeBuilder, Any], None]


def lower_body(s: ScopeBuilder, statements: Sequence[ast.stmt]) -> None:
    """Lower `statements` into the current block of `s`; one that nests too deeply is noted and left out."""
    table = STATEMENTS
    for node in statements:
        try:
            table[type(node)](s, node)
        except RecursionError:
            s.module.problems.append((node.lineno, "this statement is nested too deeply to be checked"))


class _Table(dict[type, LowerStatement]):
    """By node type; a statement that a newer Python brings is lowered by its parts."""

    def __missing__(self, kind: type) -> LowerStatement:
        self[kind] = _unknown
        return _unknown


def _unknown(s: ScopeBuilder, node: ast.stmt) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            lower(s, child)
        elif isinstance(child, ast.stmt):
            lower_body(s, [child])


def starts_with_docstring(body: Sequence[ast.stmt]) -> bool:
    """Whether the first statement is a text."""
    first = body[0] if body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


# --- Simple statements ---------------------------------------------------------------------------------------


def _expression(s: ScopeBuilder, node: ast.Expr) -> None:
    value = node.value
    EXPRESSIONS[type(value)](s, value, "dropped", -1)


def _assigned(s: ScopeBuilder, node: ast.expr) -> tuple[Expression, int]:
    """The value of an assignment, and the ticket of the assignment that follows."""
    order = s.order
    ticket = len(order)
    order.append(-1)
    return EXPRESSIONS[type(node)](s, node, "assigned", ticket), ticket


def _assign(s: ScopeBuilder, node: ast.Assign) -> None:
    targets = node.targets
    target = targets[0]
    if type(target) is ast.Tuple and len(targets) == 1 and _pairs(target, node.value):
        return _assign_pairs(s, node, target, node.value)  # type: ignore[arg-type]
    value, ticket = _assigned(s, node.value)
    first = len(s.assignments)
    span = span_of(node)
    for target in targets:
        bind(s, target, value, span)
    if len(s.assignments) > first:
        s.order[ticket] = first
    if s.number == 0:
        _exports(s, targets, value, added=False)
    return None


def _pairs(target: ast.Tuple, value: ast.expr) -> bool:
    """`a, b = x, y`: each target has a value of its own."""
    return (
        isinstance(value, ast.Tuple)
        and len(target.elts) == len(value.elts)
        and not any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts))
    )


def _assign_pairs(s: ScopeBuilder, node: ast.Assign, target: ast.Tuple, value: ast.Tuple) -> None:
    values = [_assigned(s, part) for part in value.elts]
    span = span_of(node)
    for part, (lowered, ticket) in zip(target.elts, values, strict=True):
        first = len(s.assignments)
        bind(s, part, lowered, span)
        if len(s.assignments) > first:
            s.order[ticket] = first


def _assign_annotated(s: ScopeBuilder, node: ast.AnnAssign) -> None:
    annotated = annotation(s, node.annotation)
    ticket = -1
    value: Expression = OTHER
    if node.value is not None:
        value, ticket = _assigned(s, node.value)
        s.order[ticket] = len(s.assignments)
    bind(s, node.target, value, span_of(node), annotation=annotated)
    if s.number == 0:
        _exports(s, [node.target], value, added=False)


def _assign_augmented(s: ScopeBuilder, node: ast.AugAssign) -> None:
    value, ticket = _assigned(s, node.value)
    s.order[ticket] = len(s.assignments)
    bind(s, node.target, value, span_of(node), augmented=True)
    if s.number == 0:
        _exports(s, [node.target], value, added=True)


def _type_alias(s: ScopeBuilder, node: Any) -> None:
    bind(s, node.name, annotation(s, node.value), span_of(node))


def _exports(s: ScopeBuilder, targets: Sequence[ast.expr], value: Expression, *, added: bool) -> None:
    """Keep `__all__` when it is a plain list."""
    first = targets[0]
    if type(first) is not ast.Name or first.id != "__all__":
        return
    exports = s.module.exports
    if not added:
        exports.clear()
    if isinstance(value, Items):
        names = [part.value for part in value.values if isinstance(part, Constant)]
        exports.extend(name for name in names if isinstance(name, str))


def _return(s: ScopeBuilder, node: ast.Return) -> None:
    value = NONE if node.value is None else lower(s, node.value, "returned")
    s.results.append(new(Return, (value, span_of(node), s.block)))


def _raise(s: ScopeBuilder, node: ast.Raise) -> None:
    value = NONE if node.exc is None else lower(s, node.exc, "raised")
    cause = None if node.cause is None else lower(s, node.cause, "raised")
    s.raises.append(Raise(value, cause, span_of(node), s.block))


def _assert(s: ScopeBuilder, node: ast.Assert) -> None:
    lower(s, node.test, "tested")
    if node.msg is not None:
        lower(s, node.msg)


def _delete(s: ScopeBuilder, node: ast.Delete) -> None:
    for target in node.targets:
        for part in target.elts if isinstance(target, ast.Tuple | ast.List) else (target,):
            lower(s, part, "deleted")


def _global(s: ScopeBuilder, node: ast.Global) -> None:
    s.globals.extend(node.names)


def _nonlocal(s: ScopeBuilder, node: ast.Nonlocal) -> None:
    s.nonlocals.extend(node.names)


def _break(s: ScopeBuilder, node: ast.Break) -> None:
    s.jumps.append(Jump("break", node.lineno, s.block))


def _continue(s: ScopeBuilder, node: ast.Continue) -> None:
    s.jumps.append(Jump("continue", node.lineno, s.block))


def _nothing(s: ScopeBuilder, node: ast.stmt) -> None:
    pass


# --- Blocks --------------------------------------------------------------------------------------------------


def _block(
    s: ScopeBuilder,
    kind: BlockKind,
    line: int,
    body: Sequence[ast.stmt],
    subject: tuple[Expression, ...] = (),
    partner: int = -1,
    name: str = "",
) -> int:
    """Lower `body` as a block of its own; returns the block's number."""
    around = s.open_block(kind, line, body[-1].end_lineno or line, subject, partner, name)
    number = s.block
    lower_body(s, body)
    s.block = around
    return number


def _if(s: ScopeBuilder, node: ast.If) -> None:
    """An `elif` is an `if` in the else block; long rows of them are walked, not nested calls."""
    around = s.block
    while True:
        subject = (lower(s, node.test, "tested"),)
        number = _block(s, "if", node.lineno, node.body, subject)
        if s.number == 0:
            _guard(s, node, number)
        if not node.orelse:
            break
        first, last = node.orelse[0], node.orelse[-1]
        s.open_block("else", first.lineno, last.end_lineno or last.lineno, subject, number)
        if s.number == 0 and _is_main(node.test, ast.NotEq):
            s.module.guards.add(s.block)
        if not (isinstance(first, ast.If) and first is last):
            lower_body(s, node.orelse)
            break
        node = first
    s.block = around


def _guard(s: ScopeBuilder, node: ast.If, number: int) -> None:
    if _is_main(node.test, ast.Eq):
        s.module.guards.add(number)


def _is_main(test: ast.expr, operator: type[ast.cmpop]) -> bool:
    """`__name__ == "__main__"`, also the other way round or as a part of an `and`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and operator is ast.Eq:
        return any(_is_main(value, operator) for value in test.values)
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], operator)):
        return False
    sides = [test.left, test.comparators[0]]
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def _while(s: ScopeBuilder, node: ast.While) -> None:
    """The test is in the loop's block: it is evaluated in each round."""
    around = s.open_block("while", node.lineno, node.body[-1].end_lineno or node.lineno)
    number = s.block
    test = lower(s, node.test, "tested")
    s.blocks[number] = s.blocks[number]._replace(subject=(test,))
    lower_body(s, node.body)
    s.block = around
    _else_of_loop(s, node.orelse, number)


def _for(s: ScopeBuilder, node: ast.For | ast.AsyncFor) -> None:
    is_async = isinstance(node, ast.AsyncFor)
    use: Use = "async iterated" if is_async else "iterated"
    values = lower(s, node.iter, use)
    kind: BlockKind = "async for" if is_async else "for"
    around = s.open_block(kind, node.lineno, node.body[-1].end_lineno or node.lineno, (values,))
    number = s.block
    bind(s, node.target, Element(values), span_of(node.target))
    lower_body(s, node.body)
    s.block = around
    _else_of_loop(s, node.orelse, number)


def _else_of_loop(s: ScopeBuilder, body: Sequence[ast.stmt], number: int) -> None:
    if body:
        _block(s, "else of loop", body[0].lineno, body, (), number)


def _with(s: ScopeBuilder, node: ast.With | ast.AsyncWith) -> None:
    is_async = isinstance(node, ast.AsyncWith)
    use: Use = "async entered" if is_async else "entered"
    entered = [lower(s, item.context_expr, use) for item in node.items]
    kind: BlockKind = "async with" if is_async else "with"
    around = s.open_block(kind, node.lineno, node.body[-1].end_lineno or node.lineno, tuple(entered))
    for item, value in zip(node.items, entered, strict=True):
        if item.optional_vars is not None:
            bind(s, item.optional_vars, Entered(value), span_of(item.optional_vars))
    lower_body(s, node.body)
    s.block = around


def _try(s: ScopeBuilder, node: Any) -> None:
    number = _block(s, "try", node.lineno, node.body)
    for handler in node.handlers:
        types = _exception_types(s, handler.type)
        _block(s, "except", handler.lineno, handler.body, types, number, handler.name or "")
    if node.orelse:
        _block(s, "else of try", node.orelse[0].lineno, node.orelse, (), number)
    if node.finalbody:
        _block(s, "finally", node.finalbody[0].lineno, node.finalbody, (), number)


def _exception_types(s: ScopeBuilder, node: ast.expr | None) -> tuple[Expression, ...]:
    if node is None:
        return ()
    if isinstance(node, ast.Tuple):
        return tuple([lower(s, part) for part in node.elts])
    return (lower(s, node),)


def _match(s: ScopeBuilder, node: ast.Match) -> None:
    subject = lower(s, node.subject, "tested")
    for case in node.cases:
        line = case.pattern.lineno
        around = s.open_block("if", line, case.body[-1].end_lineno or line, (subject,))
        capture(s, case.pattern, subject)
        if case.guard is not None:
            lower(s, case.guard, "tested")
        lower_body(s, case.body)
        s.block = around


# --- Definitions ---------------------------------------------------------------------------------------------


def _function(s: ScopeBuilder, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    _inside(function(s, node), node.body)


def _class(s: ScopeBuilder, node: ast.ClassDef) -> None:
    _inside(class_(s, node), node.body)


def _inside(inner: ScopeBuilder, body: Sequence[ast.stmt]) -> None:
    inner.docstring = starts_with_docstring(body)
    lower_body(inner, body)
    inner.finish()


STATEMENTS = _Table(
    {
        ast.Expr: _expression,
        ast.Assign: _assign,
        ast.AnnAssign: _assign_annotated,
        ast.AugAssign: _assign_augmented,
        ast.Return: _return,
        ast.Raise: _raise,
        ast.Assert: _assert,
        ast.Delete: _delete,
        ast.Global: _global,
        ast.Nonlocal: _nonlocal,
        ast.Pass: _nothing,
        ast.Break: _break,
        ast.Continue: _continue,
        ast.Import: import_,
        ast.ImportFrom: import_from,
        ast.If: _if,
        ast.While: _while,
        ast.For: _for,
        ast.AsyncFor: _for,
        ast.With: _with,
        ast.AsyncWith: _with,
        ast.Try: _try,
        ast.TryStar: _try,
        ast.Match: _match,
        ast.FunctionDef: _function,
        ast.AsyncFunctionDef: _function,
        ast.ClassDef: _class,
    }
)
if hasattr(ast, "TypeAlias"):
    STATEMENTS[ast.TypeAlias] = _type_alias
