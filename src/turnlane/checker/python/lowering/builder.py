"""What is collected of a module and of each of its scopes while the tree is walked."""

from __future__ import annotations

from typing import Any, Literal

from turnlane.checker.python.facts import (
    Assignment,
    Attribute,
    Block,
    BlockKind,
    Call,
    CallRef,
    Cell,
    Constant,
    Expression,
    Import,
    Jump,
    Module,
    Name,
    Parameter,
    Raise,
    Read,
    Return,
    Scope,
    Span,
    Yield,
)

new: Any = tuple.__new__
"""Makes a NamedTuple from a plain tuple, at a third of the cost of calling its class."""

LONGEST_TEXT = 200


class _Names(dict[str, Name]):
    """One `Name` for each identifier of a module."""

    def __missing__(self, id: str) -> Name:
        made = self[id] = Name(id)
        return made


class _Texts(dict[str, Constant]):
    """One `Constant` for each text of a module."""

    def __missing__(self, text: str) -> Constant:
        made = self[text] = Constant(text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT])
        return made


class _CallRefs(dict[int, CallRef]):
    """One `CallRef` for each number, shared by all modules."""

    def __missing__(self, number: int) -> CallRef:
        made = self[number] = CallRef(number)
        return made


CALL_REFS = _CallRefs()


class ModuleBuilder:
    """The facts of a module in the making."""

    __slots__ = ("attributes", "exports", "guards", "imports", "names", "problems", "scopes", "texts")

    def __init__(self) -> None:
        self.scopes: list[Scope | None] = []
        """None: the scope is still being read."""
        self.imports: list[Import] = []
        self.problems: list[tuple[int, str]] = []
        self.exports: list[str] = []
        self.guards: set[int] = set()
        """The blocks of scope 0 that `if __name__ == "__main__"` opens; the blocks in them are not here."""
        self.names = _Names()
        self.texts = _Texts()
        self.attributes: dict[tuple[str, str], Attribute] = {}
        """`name.attribute`, by both: most attributes of a file are written many times."""

    def module(self, path: str, cells: tuple[Cell, ...], recovered: bool) -> Module:
        """The finished facts."""
        scopes = tuple(scope for scope in self.scopes if scope is not None)
        return Module(
            path=path,
            kind="notebook" if cells else "script",
            scopes=scopes,
            imports=tuple(self.imports),
            cells=cells,
            main_guard=self._guarded(scopes[0].blocks) if self.guards else (),
            exports=tuple(self.exports),
            problems=tuple(self.problems),
            recovered=recovered,
        )

    def _guarded(self, blocks: tuple[Block, ...]) -> tuple[int, ...]:
        """The guards and all blocks in them; a block stands after its parent."""
        inside = set(self.guards)
        for number, block in enumerate(blocks):
            if block.parent in inside:
                inside.add(number)
        return tuple(sorted(inside))


class ScopeBuilder:
    """The facts of one scope in the making.

    A value is lowered before the call or assignment that uses it has its final index, since what the value itself
    calls comes first. So a user is named by a ticket, and `finish` puts the index that `order[ticket]` then holds.
    """

    __slots__ = (
        "assignments",
        "bases",
        "block",
        "blocks",
        "calls",
        "decorators",
        "docstring",
        "globals",
        "is_async",
        "jumps",
        "kind",
        "line",
        "module",
        "name",
        "nonlocals",
        "number",
        "order",
        "parameters",
        "parent",
        "parent_block",
        "qualname",
        "raises",
        "reads",
        "results",
        "returns",
        "span",
        "yields",
    )

    def __init__(
        self,
        module: ModuleBuilder,
        kind: Literal["module", "class", "function", "lambda"],
        qualname: str,
        parent: int,
        parent_block: int,
    ) -> None:
        self.module = module
        self.number = len(module.scopes)
        module.scopes.append(None)
        self.kind = kind
        self.name = qualname.rpartition(".")[2]
        self.qualname = qualname
        self.parent = parent
        self.parent_block = parent_block
        self.span: Span
        self.line: int
        self.is_async = False
        self.docstring = False
        self.parameters: tuple[Parameter, ...] = ()
        self.decorators: tuple[Expression, ...] = ()
        self.bases: tuple[Expression, ...] = ()
        self.returns: Expression | None = None
        self.globals: list[str] = []
        self.nonlocals: list[str] = []
        self.block = 0
        self.blocks: list[Block] = []
        self.order: list[int] = []
        # As `Call` and `Read`, with a ticket for the user's index:
        self.calls: list[tuple[Any, ...]] = []
        self.reads: list[tuple[Any, ...]] = []
        self.assignments: list[Assignment] = []
        self.results: list[Return] = []
        self.yields: list[Yield] = []
        self.raises: list[Raise] = []
        self.jumps: list[Jump] = []

    def open_body(self, line: int, end_line: int) -> None:
        """Start with the scope's own block."""
        self.blocks.append(Block("body", -1, line, end_line))

    def open_block(
        self,
        kind: BlockKind,
        line: int,
        end_line: int,
        subject: tuple[Expression, ...] = (),
        partner: int = -1,
        name: str = "",
    ) -> int:
        """Add a block inside the current one and go into it; returns the number of the one left."""
        around = self.block
        self.block = len(self.blocks)
        self.blocks.append(new(Block, (kind, around, line, end_line, subject, partner, name)))
        return around

    def nested_qualname(self, name: str) -> str:
        """The qualified name of a scope `name` in this one."""
        return f"{self.qualname}.{name}" if self.qualname else name

    def finish(self) -> None:
        """Put the finished scope into its place in the module."""
        order = self.order
        order.append(-1)  # what nobody uses has the ticket -1
        calls = tuple([new(Call, (a, b, c, d, e, f, order[ticket])) for a, b, c, d, e, f, ticket in self.calls])
        reads = tuple([new(Read, (a, b, c, d, e, order[ticket], f)) for a, b, c, d, e, ticket, f in self.reads])
        self.module.scopes[self.number] = Scope(
            number=self.number,
            kind=self.kind,
            name=self.name,
            qualname=self.qualname,
            parent=self.parent,
            parent_block=self.parent_block,
            span=self.span,
            line=self.line,
            is_async=self.is_async,
            is_generator=bool(self.yields),
            parameters=self.parameters,
            decorators=self.decorators,
            bases=self.bases,
            returns=self.returns,
            docstring=self.docstring,
            globals=tuple(self.globals),
            nonlocals=tuple(self.nonlocals),
            calls=calls,
            assignments=tuple(self.assignments),
            results=tuple(self.results),
            yields=tuple(self.yields),
            raises=tuple(self.raises),
            jumps=tuple(self.jumps),
            reads=reads,
            blocks=tuple(self.blocks),
        )


def span_of(node: Any) -> Span:
    """The span of an `ast` node that has a place."""
    made: Span = new(Span, (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset))
    return made
