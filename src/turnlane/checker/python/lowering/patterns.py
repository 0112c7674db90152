"""`match`: each case is a block, each captured name an assignment of a part of the subject."""

from __future__ import annotations

import ast

from turnlane.checker.python.facts import OTHER, Assignment, Attribute, Expression, Subscript, Unpacked
from turnlane.checker.python.lowering.builder import ScopeBuilder, span_of
from turnlane.checker.python.lowering.expressions import lower, other


def capture(s: ScopeBuilder, pattern: ast.pattern, subject: Expression) -> None:
    """Bind the names of `pattern` to the parts of `subject` they stand for."""
    match pattern:
        case ast.MatchValue(value=value):
            lower(s, value, "tested")
        case ast.MatchAs(pattern=inner, name=name):
            if inner is not None:
                capture(s, inner, subject)
            _bind(s, pattern, name, subject)
        case ast.MatchOr(patterns=patterns):
            for option in patterns:
                capture(s, option, subject)
        case ast.MatchSequence(patterns=patterns):
            _sequence(s, patterns, subject)
        case ast.MatchMapping():
            _mapping(s, pattern, subject)
        case ast.MatchClass():
            _class(s, pattern, subject)


def _sequence(s: ScopeBuilder, patterns: list[ast.pattern], subject: Expression) -> None:
    number = 0
    for pattern in patterns:
        if isinstance(pattern, ast.MatchStar):
            number -= len(patterns)
            _bind(s, pattern, pattern.name, Subscript(subject, OTHER))
        else:
            capture(s, pattern, Unpacked(subject, number))
        number += 1


def _mapping(s: ScopeBuilder, node: ast.MatchMapping, subject: Expression) -> None:
    for key, pattern in zip(node.keys, node.patterns, strict=True):
        capture(s, pattern, Subscript(subject, lower(s, key, "tested")))
    _bind(s, node, node.rest, other([subject]))


def _class(s: ScopeBuilder, node: ast.MatchClass, subject: Expression) -> None:
    lower(s, node.cls, "tested")
    for pattern in node.patterns:
        capture(s, pattern, other([subject]))
    for attr, pattern in zip(node.kwd_attrs, node.kwd_patterns, strict=True):
        capture(s, pattern, Attribute(subject, attr))


def _bind(s: ScopeBuilder, node: ast.pattern, name: str | None, value: Expression) -> None:
    if name is not None:
        s.assignments.append(
            Assignment(s.module.names[name], value, span_of(node), s.block, after=len(s.calls)),
        )
