"""A Python program that is about to be edited: its syntax tree, who contains whom, and offsets in its text."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

from turnlane.checker.finding import Edit, Fix, Place
from turnlane.checker.ipython import PARSE
from turnlane.checker.python.facts import Cell, Span
from turnlane.checker.source import Source

Function = ast.FunctionDef | ast.AsyncFunctionDef
_Expression = TypeVar("_Expression", bound=ast.expr)
_OPEN_STRING = re.compile(r"\"\"\"|'''|\\\r?\n")
_LONE_CR = re.compile(r"\r(?!\n)")


class Change(NamedTuple):
    """An edit as offsets in characters of the program."""

    start: int
    end: int
    text: str


@lru_cache(maxsize=16)
def parse(source: Source, cells: tuple[Cell, ...] = ()) -> Code | None:
    """The program in `source`; None when it does not parse. `cells` are those of a notebook."""
    if _LONE_CR.search(source.text):
        return None  # lines that only some of the editors count
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags = PARSE if cells else ast.PyCF_ONLY_AST
            tree = compile(source.text, "<program>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    assert isinstance(tree, ast.Module)
    return Code(source, tree, cells)


class Code:
    """What the builders of edits ask of a program."""

    def __init__(self, source: Source, tree: ast.Module, cells: Sequence[Cell] = ()) -> None:
        """`tree` is of `source`; `cells` are those of a notebook, empty for a script."""
        self.source = source
        self.tree = tree
        self.cells = tuple(cells)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Of every node but the module."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _expressions(self) -> dict[Span, list[ast.expr]]:
        found: dict[Span, list[ast.expr]] = {}
        nodes: list[ast.AST] = [self.tree]
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.expr):
                found.setdefault(span_of(node), []).append(node)
            if not isinstance(node, ast.JoinedStr):  # before Python 3.12 the places inside are wrong
                nodes += ast.iter_child_nodes(node)
        return found

    def expression(self, span: Span | Place, kind: type[_Expression]) -> _Expression | None:
        """The expression of a kind that stands exactly at `span`, but not inside of an f-string."""
        at = Span(*span[1:]) if isinstance(span, Place) else span
        return next((node for node in self._expressions.get(at, ()) if isinstance(node, kind)), None)

    # --- Offsets and text ----------------------------------------------------------------------------------

    def start(self, node: ast.expr | ast.stmt) -> int:
        """The offset at which a node starts; of a decorated function the `def`."""
        return self.source.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self.source.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self.source.text[self.start(node) : self.end(node)]

    def line_start(self, line: int) -> int:
        """The offset of a line; of one past the last, the end of the text."""
        return self.source.starts[line - 1] if line <= len(self.source.starts) else len(self.source.text)

    def before(self, node: ast.stmt) -> str:
        """What stands on the node's first line before it."""
        return self.source.text[self.line_start(node.lineno) : self.start(node)]

    def after(self, node: ast.stmt) -> str:
        """What stands on the node's last line after it."""
        line = node.end_lineno or node.lineno
        return self.source.text[self.end(node) : self.line_start(line) + len(self.source.line(line))]

    @cached_property
    def newline(self) -> str:
        """The line end of the program."""
        return "\r\n" if "\r\n" in self.source.text else "\n"

    @cached_property
    def indent(self) -> str:
        """One step of indentation, as the program's first indented body has it."""
        for node in ast.walk(self.tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and not isinstance(node, ast.Module):
                inner = self.before(body[0])
                outer = self.before(node) if isinstance(node, ast.stmt) else ""
                if inner.isspace() and inner.startswith(outer) and len(inner) > len(outer):
                    return inner[len(outer) :]
        return "    "

    @cached_property
    def string_lines(self) -> frozenset[int]:
        """The lines that start inside of a string: changing their indentation would change the string."""
        lines: set[int] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
            ):
                if not _OPEN_STRING.search(self.text(node)):
                    continue  # several strings, one in each line
                lines.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
        return frozenset(lines)

    # --- Scopes --------------------------------------------------------------------------------------------

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Parent, grandparent, up to the module."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, lambda, class, generator expression or module that runs `node`."""
        child = node
        for parent in self.ancestors(node):
            if isinstance(parent, ast.GeneratorExp | ast.Module) or (
                isinstance(parent, ast.Lambda) and child is parent.body
            ):
                return parent
            if isinstance(parent, Function | ast.ClassDef) and child in parent.body:
                return parent
            child = parent
        return self.tree

    def can_await(self, node: ast.AST, made_async: Collection[ast.AST] = ()) -> bool:
        """Whether `await` may stand at `node`; `made_async` are functions that the same fix makes async."""
        scope = self.scope(node)
        if isinstance(scope, ast.Module):
            return bool(self.cells)
        return isinstance(scope, ast.AsyncFunctionDef) or scope in made_async

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The innermost statement around an expression."""
        return next((parent for parent in self.ancestors(node) if isinstance(parent, ast.stmt)), None)

    def cell(self, line: int) -> Cell | None:
        """The cell of a notebook that has a line."""
        return next((cell for cell in self.cells if cell.first_line <= line < cell.first_line + cell.lines), None)

    # --- Names ---------------------------------------------------------------------------------------------

    @cached_property
    def imported(self) -> dict[str, str]:
        """What imports anywhere in the program bind: local name to dotted name."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    names[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return names

    def dotted(self, node: ast.expr) -> str:
        """What a name stands for by the imports, such as `asyncio.run`; empty for anything else."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def assigns(self, name: str) -> bool:
        """Whether the program gives `name` a value of its own anywhere: a variable, a function, a parameter."""
        return name in self._bound

    @cached_property
    def _bound(self) -> frozenset[str]:
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, Function | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                names.add(node.name)
        return frozenset(names)

    # --- What comes out ------------------------------------------------------------------------------------

    def fix(self, title: str, changes: Sequence[Change], *, safe: bool) -> Fix:
        """The fix that makes these changes."""
        kept = [change for change in changes if change.text or change.start < change.end]
        return Fix(title, tuple(map(self.edit, sorted(kept, key=lambda change: change[:2]))), safe)

    def edit(self, change: Change) -> Edit:
        start, end = self.source.position(change.start), self.source.position(change.end)
        return Edit(Place(self.source.path, *start, *end), change.text)


def span_of(node: ast.expr | ast.stmt) -> Span:
    """Where a node stands."""
    return Span(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)
