"""tree-sitter: which grammar reads a file, and the small questions asked of its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import tree_sitter
import tree_sitter_typescript

from turnlane.checker.typescript.facts import Span

Node = tree_sitter.Node

_TYPED: Final = (".ts", ".mts", ".cts")
"""Here `<T>x` is a cast; everywhere else `<T>` starts an element."""


@cache
def _parser(grammar: str) -> tree_sitter.Parser:
    pointer = getattr(tree_sitter_typescript, f"language_{grammar}")()
    return tree_sitter.Parser(tree_sitter.Language(pointer))


def parse(path: str, data: bytes) -> Node:
    """The root of the tree of `data`, UTF-8. What does not parse is a node of type ERROR; never raises."""
    return _parser("typescript" if path.endswith(_TYPED) else "tsx").parse(data).root_node


def text(node: Node | None) -> str:
    """The source of a node; empty for None."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text else ""


def span(node: Node) -> Span:
    """Where a node stands."""
    start, end = node.start_point, node.end_point
    return Span(start[0] + 1, start[1], end[0] + 1, end[1])


def line(node: Node) -> int:
    """The line a node starts on, from 1."""
    return node.start_point[0] + 1


def string(node: Node | None) -> str:
    """What stands between the quotes of a string."""
    return text(node)[1:-1]


def first_error(root: Node) -> int:
    """The line of the first place that does not parse; 0: all of it parses."""
    node = root
    while node.has_error and not (node.is_error or node.is_missing):
        node = next((child for child in node.children if child.has_error), node)
        if not node.children:
            break
    return line(node) if root.has_error else 0


def named(node: Node | None) -> Iterator[Node]:
    """The parts of a node that are no punctuation and no comment."""
    if node is not None:
        for child in node.named_children:
            if child.type != "comment":
                yield child
