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


def read_yaml(text: str) -> Document:
    """Read every document of a YAML text; never raises."""
    import yaml  # 15 ms: only for a file that needs it

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[Node] = []
    try:
        for node in yaml.compose_all(text, Loader=loader):
            found.append(_node(node, {}))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (
            mark.line + 1 if mark else 0,
            f"it is not valid YAML ({error.problem}); what stands before was checked",
        )
        return Document(found[0] if found else _MISSING, tuple(found[1:]), (problem,))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Document(_MISSING, (), ((0, f"it is not valid YAML ({type(error).__name__}); it was left out"),))
    return Document(found[0] if found else _MISSING, tuple(found[1:]))


def _node(node: Any, known: dict[int, Node]) -> Node:
    """`known`: what was read of each node by its identity, so that aliases of aliases cost nothing."""
    if node is None:
        return _MISSING
    if id(node) not in known:
        known[id(node)] = _MISSING  # stands for itself inside itself: an alias may make a circle
        known[id(node)] = _read(node, known)
    return known[id(node)]


def _read(node: Any, known: dict[int, Node]) -> Node:
    place = (node.start_mark.index, node.end_mark.index)
    tag = "" if node.tag.startswith("tag:yaml.org") else node.tag
    if node.id == "mapping":
        entries = tuple(
            (key.value if isinstance(key.value, str) else "", _node(key, known), _node(value, known))
            for key, value in node.value
        )
        return Node("mapping", place, entries=entries, tag=tag)
    if node.id == "sequence":
        return Node("list", place, items=tuple(_node(item, known) for item in node.value), tag=tag)
    quoted = node.style in ("'", '"')
    return Node("text", (place[0] + quoted, place[1] - quoted), node.value, tag=tag)
