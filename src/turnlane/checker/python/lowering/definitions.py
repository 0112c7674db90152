"""Functions, classes and lambdas: scopes of their own, with the parts that stand in the scope around them."""

from __future__ import annotations

import ast
from typing import Any, Literal

from turnlane.checker.python.facts import Expression, Function, Parameter, Return, Span, Use
from turnlane.checker.python.lowering.annotations import annotation
from turnlane.checker.python.lowering.builder import ScopeBuilder, new, span_of
from turnlane.checker.python.lowering.expressions import EXPRESSIONS, lower


def function(s: ScopeBuilder, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ScopeBuilder:
    """Open the scope of a function inside `s`; its body is not read yet."""
    decorators = _decorators(s, node)
    parameters = _parameters(s, node.args)
    returns = None if node.returns is None else annotation(s, node.returns)
    _type_parameters(s, node)
    inner = _open(s, "function", node)
    inner.decorators = decorators
    inner.parameters = parameters
    inner.returns = returns
    inner.is_async = type(node) is ast.AsyncFunctionDef
    return inner


def class_(s: ScopeBuilder, node: ast.ClassDef) -> ScopeBuilder:
    """Open the scope of a class inside `s`; its body is not read yet."""
    decorators = _decorators(s, node)
    _type_parameters(s, node)
    bases = tuple([lower(s, base) for base in node.bases])
    for keyword in node.keywords:
        lower(s, keyword.value)
    inner = _open(s, "class", node)
    inner.decorators = decorators
    inner.bases = bases
    return inner


def _decorators(s: ScopeBuilder, node: Any) -> tuple[Expression, ...]:
    decorators: list[ast.expr] = node.decorator_list
    return tuple([lower(s, decorator, "decorator") for decorator in decorators]) if decorators else ()


def _type_parameters(s: ScopeBuilder, node: Any) -> None:
    """`def f[T: Bound = Default]()`, since Python 3.12."""
    for parameter in getattr(node, "type_params", ()):
        for part in (getattr(parameter, "bound", None), getattr(parameter, "default_value", None)):
            if part is not None:
                lower(s, part)


def _open(s: ScopeBuilder, kind: Literal["class", "function"], node: Any) -> ScopeBuilder:
    inner = ScopeBuilder(s.module, kind, s.nested_qualname(node.name), s.number, s.block)
    line = node.lineno
    first = node.decorator_list[0].lineno if node.decorator_list else line
    inner.line = line
    inner.span = new(Span, (first, node.col_offset, node.end_lineno, node.end_col_offset))
    inner.open_body(line, node.end_lineno)
    return inner


# --- Parameters ----------------------------------------------------------------------------------------------


def _parameters(s: ScopeBuilder, node: ast.arguments) -> tuple[Parameter, ...]:
    positional = node.posonlyargs + node.args if node.posonlyargs else node.args
    defaults: list[ast.expr | None] = [*node.defaults]
    values = _defaults(s, [*[None] * (len(positional) - len(defaults)), *defaults])
    made = [_parameter(s, arg, "positional", value) for arg, value in zip(positional, values, strict=True)]
    keyword_values = _defaults(s, node.kw_defaults) if node.kwonlyargs else ()
    if node.vararg is not None:
        made.append(_parameter(s, node.vararg, "*", None))
    for arg, value in zip(node.kwonlyargs, keyword_values, strict=True):
        made.append(_parameter(s, arg, "keyword", value))
    if node.kwarg is not None:
        made.append(_parameter(s, node.kwarg, "**", None))
    return tuple(made)


def _defaults(s: ScopeBuilder, nodes: list[ast.expr | None]) -> list[Expression | None]:
    return [None if node is None else lower(s, node, "default") for node in nodes]


def _parameter(
    s: ScopeBuilder,
    node: ast.arg,
    kind: Literal["positional", "keyword", "*", "**"],
    default: Expression | None,
) -> Parameter:
    annotated = None if node.annotation is None else annotation(s, node.annotation)
    return new(Parameter, (node.arg, kind, annotated, default))  # type: ignore[no-any-return]


# --- Lambdas -------------------------------------------------------------------------------------------------


def lambda_(s: ScopeBuilder, node: ast.Lambda, use: Use, user: int) -> Expression:
    parameters = _parameters(s, node.args)
    inner = ScopeBuilder(s.module, "lambda", s.nested_qualname("<lambda>"), s.number, s.block)
    inner.parameters = parameters
    inner.line = node.lineno
    inner.span = span_of(node)
    inner.open_body(node.lineno, node.end_lineno or node.lineno)
    value = lower(inner, node.body, "returned")
    inner.results.append(Return(value, span_of(node.body), 0))
    inner.finish()
    return Function(inner.number)


EXPRESSIONS[ast.Lambda] = lambda_
