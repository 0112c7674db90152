"""tree-sitter: which grammar reads a file, and the small questions asked of its nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import tree_sitter
import tree_sitter_typescript

from turnlane.checker.typescript.facts import Span

Node = tree_sitter.Node

_TYPED: Final = (".ts", ".mts", ".cts")
"""Here `<T>x` is a cast; everywhere else `<T>` starts an element."""
_ROUNDS: Final = 3
_AMPERSAND: Final = re.compile(rb"(?<!&)&(?!&)")
"""Text between elements, and the query of a URL in an attribute, may hold one."""
_EXPORT_TYPES: Final = re.compile(rb"(\bexport )(type)( \*)")
_IMPORTED_TYPE: Final = re.compile(
    rb"""(?:(?<=[:|&<,] )|(?<=\bas ))(?:typeof )?import\((['"])[^'"\n]*\1\)(?=\.\w)"""
)


@cache
def _parser(grammar: str) -> tree_sitter.Parser:
    pointer = getattr(tree_sitter_typescript, f"language_{grammar}")()
    return tree_sitter.Parser(tree_sitter.Language(pointer))


def parse(path: str, data: bytes) -> Node:
    """The root of the tree of `data`, UTF-8. What does not parse is a node of type ERROR; never raises.

    The grammars refuse a few things that compilers take; those are spelled otherwise, byte for byte, and read
    again.
    """
    parser = _parser("typescript" if path.endswith(_TYPED) else "tsx")
    root = parser.parse(data).root_node
    for _ in range(_ROUNDS):
        spelled = _respelled(data, root) if root.has_error else data
        if spelled == data:
            break
        again = parser.parse(spelled).root_node
        if again.has_error and first_error(again) < first_error(root):
            break
        data, root = spelled, again
    return root


def _respelled(data: bytes, root: Node) -> bytes:
    data = _EXPORT_TYPES.sub(lambda match: match[1] + b" " * len(match[2]) + match[3], data)
    data = _IMPORTED_TYPE.sub(lambda match: b"X" * len(match[0]), data)
    lines = data.split(b"\n")
    for number in _error_lines(root):
        lines[number] = _AMPERSAND.sub(b"+", lines[number])
    return b"\n".join(lines)


def _error_lines(root: Node) -> set[int]:
    """The lines, from 0, on which an error begins or ends."""
    found: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            found.update((node.start_point[0], node.end_point[0]))
        waiting.extend(child for child in node.children if child.has_error)
    return found


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
