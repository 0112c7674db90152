"""Python of other versions, written in the form that the running one reads: by the nodes of tree-sitter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import tree_sitter
import tree_sitter_python

Node = tree_sitter.Node

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language()))


class Statement(NamedTuple):
    """The lines of one statement, from 0."""

    first: int
    last: int
    body: int
    """The line its block starts at; `first` when it has none."""
    inner: list[Statement]
    """Those in its blocks, in order."""


class _Edit(NamedTuple):
    """Bytes from `start` to `end` become `text`."""

    start: int
    end: int
    text: bytes


def in_this_python(text: str) -> tuple[str, list[Statement]]:
    """`text` with the syntax of other Pythons rewritten line by line, and where its outermost statements are."""
    data = text.encode("utf-8", "replace")
    outermost: list[Statement] = []
    edits: list[_Edit] = []
    waiting = [(_PARSER.parse(data).root_node, "", outermost)]
    while waiting:  # no recursion: a broken file may nest deeply
        node, parent, around = waiting.pop()
        kind = node.type
        if parent in ("module", "block") and node.is_named:
            statement = _statement(node)
            around.append(statement)
            around = statement.inner
        if rewrite := _REWRITES.get(kind):
            edits.extend(rewrite(node))
        waiting.extend([(child, kind, around) for child in reversed(node.children)])
    return _applied(data, edits).decode("utf-8", "replace"), outermost


def _statement(node: Node) -> Statement:
    first = node.start_point[0]
    body = node.child_by_field_name("body") or node.child_by_field_name("consequence")
    return Statement(first, node.end_point[0], first if body is None else body.start_point[0], [])


def _applied(data: bytes, edits: list[_Edit]) -> bytes:
    """`data` after the edits that keep the number of lines; of two that overlap, the first in the file is made."""
    parts: list[bytes] = []
    done = 0
    for edit in sorted(edits):
        if edit.start >= done and data.count(b"\n", edit.start, edit.end) == edit.text.count(b"\n"):
            parts += (data[done : edit.start], edit.text)
            done = edit.end
    return b"".join([*parts, data[done:]])


def _blank(node: Node, start: int = 0) -> _Edit:
    """Spaces for every byte of `node` from its byte `start`; its lines stay."""
    text = (node.text or b"")[start:]
    return _Edit(node.start_byte + start, node.end_byte, bytes(c if c == 10 else 32 for c in text))


# --- Python 2 ------------------------------------------------------------------------------------------------


def _print(node: Node) -> Iterator[_Edit]:
    """`print x` to `print(x)`; the parenthesis stands where the space was."""
    start = node.start_byte + len("print")
    yield _Edit(start, start + 1, b"(") if (node.text or b"")[5:6] == b" " else _Edit(start, start, b"(")
    for child in node.children:
        if child.type == "chevron":
            yield _Edit(child.start_byte, child.start_byte + 2, b"  ")
    yield _Edit(node.end_byte, node.end_byte, b")")


def _exec(node: Node) -> Iterator[_Edit]:
    yield _Edit(node.start_byte, node.start_byte + len("exec"), b"0,  ")


def _raise(node: Node) -> Iterator[_Edit]:
    """`raise Kind, text` to `raise Kind`."""
    for child in node.children:
        if child.type == "expression_list" and child.named_children:
            yield _blank(child, child.named_children[0].end_byte - child.start_byte)


def _except(node: Node) -> Iterator[_Edit]:
    """`except Kind, name:` of Python 2, `except Kind, Kind:` of PEP 758."""
    types = [child for child in node.named_children if child.type not in ("block", "comment", "ERROR")]
    if len(types) < 2 or any(child.type == "as" for child in node.children):
        return
    first, *rest = types
    named = rest[0].text or b""
    if len(rest) == 1 and rest[0].type == "identifier" and named.islower():
        yield _Edit(first.end_byte, rest[0].end_byte, b" as " + named)
    else:
        yield _Edit(first.start_byte, first.start_byte, b"(")
        yield _Edit(rest[-1].end_byte, rest[-1].end_byte, b")")


def _unequal(node: Node) -> Iterator[_Edit]:
    yield _Edit(node.start_byte, node.end_byte, b"!=")


def _integer(node: Node) -> Iterator[_Edit]:
    """`0777` and `10L`"""
    text = node.text or b""
    if text[-1:] in b"lL":
        yield _Edit(node.end_byte - 1, node.end_byte, b" ")
    if len(text) > 1 and text[:1] == b"0" and text[1:2].isdigit() and text.strip(b"0_"):
        zeros = len(text) - len(text.lstrip(b"0_"))
        yield _Edit(node.start_byte, node.start_byte + zeros, b" " * zeros)


# --- Python 3.12 and later -----------------------------------------------------------------------------------


def _type_parameters(node: Node) -> Iterator[_Edit]:
    """`def f[T](x)`, `class A[T]`"""
    if node.parent is not None and node.parent.type in ("function_definition", "class_definition"):
        yield _blank(node)


def _type_alias(node: Node) -> Iterator[_Edit]:
    """`type A[T] = B` to `A = B`, each name where it was."""
    yield _Edit(node.start_byte, node.start_byte + len("type "), b"0;   ")
    left = node.child_by_field_name("left") or node.named_children[0]
    for inner in left.children[0].children if left.children else ():
        if inner.type == "type_parameter":
            yield _blank(inner)


def _nested_text(node: Node) -> Iterator[_Edit]:
    """`f"{x["a"]}"`: the inner text in the other quotes, without backslashes."""
    outer = _around(node)
    if outer is None or any(child.type == "interpolation" for child in node.children):
        return
    quote = _quote(outer)
    if len(quote) > 1:
        return
    start, end = node.children[0], node.children[-1]
    other = b"'" if quote == b'"' else b'"'
    content = (node.text or b"")[len(start.text or b"") : -len(end.text or b"") or None]
    for unwanted in (b"\\", quote, other, b"\n"):
        content = content.replace(unwanted, b"_")
    prefix = (start.text or b"").rstrip(b"\"'")
    yield _Edit(node.start_byte, node.end_byte, prefix + other + content + other)


def _around(node: Node) -> Node | None:
    """The outermost f-string that `node` stands in."""
    outer = None
    above = node.parent
    while above is not None and above.type not in ("block", "module"):
        if above.type == "interpolation":
            outer = above.parent
        above = above.parent
    return outer


def _quote(text: Node) -> bytes:
    return (text.children[0].text or b"").lstrip(b"rRbBuUfFtT")


# --- Python 3.14 ---------------------------------------------------------------------------------------------


def _template(node: Node) -> Iterator[_Edit]:
    """`t"{x}"` to `f"{x}"`; and `ur"x"` of Python 2 to `r"x"`."""
    text = node.text or b""
    prefix = text.rstrip(b"\"'")
    for number, letter in enumerate(prefix.lower()):
        at = node.start_byte + number
        if letter == ord("t") and sys.version_info < (3, 14):
            yield _Edit(at, at + 1, b"f")
        elif letter == ord("u") and len(prefix) > 1:
            yield _Edit(at, at + 1, b" ")


_REWRITES = {
    "print_statement": _print,
    "exec_statement": _exec,
    "raise_statement": _raise,
    "<>": _unequal,
    "integer": _integer,
    "string_start": _template,
}
if sys.version_info < (3, 14):
    _REWRITES["except_clause"] = _except
if sys.version_info < (3, 12):
    _REWRITES["type_parameter"] = _type_parameters
    _REWRITES["type_alias_statement"] = _type_alias
    _REWRITES["string"] = _nested_text
