"""YAML with the places of its values: PyYAML's composed nodes, which keep them, as one small tree of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple


class Node(NamedTuple):
    """A value: a mapping, a list, a text (numbers and truth values as they are written), or nothing."""

    kind: Literal["mapping", "list", "text", "missing"]
    span: tuple[int, int] = (0, 0)
    """Offsets in characters; of a quoted text without the quotes."""
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[tuple[str, Node, Node], ...] = ()
    """Of a mapping: key, the key's own node, value."""
    tag: str = ""
    """Such as `!Ref`; empty for YAML's own."""

    def member(self, *path: str) -> Node:
        """The value under these keys; a "missing" one where there is none."""
        found = self
        for key in path:
            found = next((value for name, _, value in found.entries if name == key), _MISSING)
        return found

    def key(self, name: str) -> Node:
        """The key itself, for its place."""
        return next((key for other, key, _ in self.entries if other == name), _MISSING)

    def members(self) -> Iterator[tuple[str, Node]]:
        for name, _, value in self.entries:
            yield name, value


_MISSING = Node("missing")


class Document(NamedTuple):
    node: Node
    """The first document of the file; a later one can be asked for in `others`."""
    others: tuple[Node, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()


_DEEPEST = 200
"""Levels of a file that people write; PyYAML's own composer overruns the stack of the process in deeper ones."""


def read_yaml(text: str) -> Document:
    """Read every document of a YAML text; never raises."""
    import yaml  # 15 ms: only for a file that needs it

    builder = _Builder()
    problem: tuple[tuple[int, str], ...] = ()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        problem = ((line, f"it is not valid YAML ({error.problem}); what stands before was checked"),)
    except (yaml.YAMLError, _TooDeep, ValueError) as error:
        problem = ((0, f"it is not valid YAML ({type(error).__name__.strip('_')}); it was left out"),)
    found = builder.documents
    return Document(found[0] if found else _MISSING, tuple(found[1:]), problem)


class _TooDeep(Exception):
    pass


class _Open(NamedTuple):
    """A mapping or list whose end was not met yet."""

    event: Any
    children: list[Node]


class _Builder:
    """Makes nodes of PyYAML's events, without recursion."""

    def __init__(self) -> None:
        self.documents: list[Node] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        match type(event).__name__:
            case "DocumentStartEvent":
                self.anchors = {}
            case "MappingStartEvent" | "SequenceStartEvent":
                if len(self.open) >= _DEEPEST:
                    raise _TooDeep
                self.open.append(_Open(event, []))
            case "MappingEndEvent" | "SequenceEndEvent":
                started = self.open.pop()
                self.add(_collection(started, event), started.event.anchor)
            case "ScalarEvent":
                self.add(_scalar(event), event.anchor)
            case "AliasEvent":
                # One that stands inside of what it names is not known yet: a circle ends there.
                self.add(self.anchors.get(event.anchor, _MISSING), None)

    def add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.documents.append(node)


def _collection(started: _Open, end: Any) -> Node:
    place = (started.event.start_mark.index, end.end_mark.index)
    tag = _tag(started.event)
    if type(end).__name__ == "SequenceEndEvent":
        return Node("list", place, items=tuple(started.children), tag=tag)
    keys, values = started.children[::2], started.children[1::2]
    return Node(
        "mapping",
        place,
        entries=tuple((key.text, key, value) for key, value in zip(keys, values, strict=True)),
        tag=tag,
    )


def _scalar(event: Any) -> Node:
    quoted = event.style in ("'", '"')
    place = (event.start_mark.index + quoted, event.end_mark.index - quoted)
    return Node("text", place, event.value, tag=_tag(event))


def _tag(event: Any) -> str:
    """The tag that the file gives; empty for YAML's own."""
    tag = event.tag or ""
    return "" if tag == "!" or tag.startswith("tag:yaml.org") else tag
