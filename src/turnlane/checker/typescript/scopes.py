"""The scopes of a file while it is read: lists that grow, closed into the tuples of `facts.py` at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from turnlane.checker.typescript.facts import (
    OTHER,
    Assignment,
    Block,
    BlockKind,
    Call,
    CallRef,
    Export,
    Expression,
    Import,
    Name,
    Read,
    Return,
    Scope,
    Span,
)

ScopeKind = Literal["module", "class", "function", "method", "arrow"]

_EMPTY: Final = Call(OTHER, (), Span(0, 0, 0, 0), 0, "other")


class OpenScope:
    """One scope that is being read."""

    def __init__(
        self, number: int, kind: ScopeKind, name: str, parent: int, parent_block: int, span: Span
    ) -> None:
        self.number = number
        self.kind = kind
        self.name = name
        self.parent = parent
        self.parent_block = parent_block
        self.span = span
        self.is_async = False
        self.is_generator = False
        self.parameters = 0
        self.directives: list[str] = []
        self.decorators: list[Expression] = []
        self.bases: list[Expression] = []
        self.calls: list[Call] = []
        self.assignments: list[Assignment] = []
        self.results: list[Return] = []
        self.reads: list[Read] = []
        self.blocks = [Block("body", -1, span.line)]

    def reserve(self) -> int:
        """The number of a call whose parts are about to be read."""
        self.calls.append(_EMPTY)
        return len(self.calls) - 1

    def pending(self) -> set[str]:
        """The names that hold the result of a call nobody awaited."""
        return {
            entry.target.id
            for entry in self.assignments
            if isinstance(entry.target, Name) and isinstance(entry.value, CallRef)
        }

    def close(self, watched: set[str]) -> Scope:
        """The scope as it is kept; of its reads only those of `watched` names."""
        return Scope(
            self.number,
            self.kind,
            self.name,
            self.parent,
            self.parent_block,
            self.span,
            self.is_async,
            self.is_generator,
            self.parameters,
            tuple(self.directives),
            tuple(self.decorators),
            tuple(self.bases),
            tuple(self.calls),
            tuple(self.assignments),
            tuple(self.results),
            tuple(read for read in self.reads if read.name in watched),
            tuple(self.blocks),
        )


class Scopes:
    """The stack of open scopes, and what the whole file collects."""

    def __init__(self, span: Span) -> None:
        self.scope = OpenScope(0, "module", "", -1, -1, span)
        self.scopes = [self.scope]
        self.block = 0
        self.imports: list[Import] = []
        self.exports: list[Export] = []

    @contextmanager
    def opened(self, kind: ScopeKind, name: str, span: Span) -> Iterator[OpenScope]:
        """Read what follows into a new scope."""
        outer, block = self.scope, self.block
        self.scope = OpenScope(len(self.scopes), kind, name, outer.number, block, span)
        self.scopes.append(self.scope)
        self.block = 0
        try:
            yield self.scope
        finally:
            self.scope, self.block = outer, block

    @contextmanager
    def within(self, kind: BlockKind, line: int, subject: Expression = OTHER, partner: int = -1) -> Iterator[int]:
        """Read what follows into a new block of the scope; yields its number."""
        outer = self.block
        self.scope.blocks.append(Block(kind, outer, line, subject, partner))
        self.block = len(self.scope.blocks) - 1
        try:
            yield self.block
        finally:
            self.block = outer

    def closed(self) -> tuple[Scope, ...]:
        """All scopes as they are kept."""
        watched = {name for scope in self.scopes for name in scope.pending()}
        return tuple(scope.close(watched) for scope in self.scopes)
