"""YAML that remembers its lines: a value together with the place it was written at."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from .mistake import ScriptError

# The C parser, where PyYAML was built with it, is ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Place:
    """A value in a YAML file.

    Attributes:
        file: what the file is called in messages.
        label: what the value is a part of, such as `rule 3`; may be empty.
        node: YAML's node, which knows its line.
        value: the value itself.
    """

    file: str
    label: str
    node: yaml.Node
    value: Any

    def error(self, text: str) -> ScriptError:
        """A ScriptError that says where."""
        part = f", {self.label}" if self.label else ""
        return ScriptError(f"{self.file}, line {self.node.start_mark.line + 1}{part}: {text}")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Give a ScriptError raised inside this place."""
        try:
            yield
        except ScriptError as error:
            raise self.error(str(error)) from None

    def entries(self, known: Sequence[str], what: str) -> dict[str, Place]:
        """The entries of a mapping whose keys must be among `known`.

        Raises:
            ScriptError: no mapping, an unknown key, or one written twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"{what} must be a mapping with keys such as {known[0]!r}, not {self.value!r}")
        found: dict[str, Place] = {}
        for key_node, value_node in self.node.value:
            key = key_node.value
            here = Place(self.file, self.label, key_node, key)
            if key not in known:
                raise here.error(f"unknown key {key!r} in {what}{_suggestion(str(key), known)}")
            if key in found:
                raise here.error(f"key {key!r} is written twice in {what}")
            found[key] = Place(self.file, self.label, value_node, self.value[key])
        return found

    def items(self, what: str, label: str = "") -> list[Place]:
        """The items of a list; with `label` each is called by it and its number.

        Raises:
            ScriptError: no list.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"{what} must be a list, not {self.value!r}")
        labels = [f"{label} {n}" if label else self.label for n in range(1, len(self.value) + 1)]
        return [
            Place(self.file, name, node, value)
            for name, node, value in zip(labels, self.node.value, self.value, strict=True)
        ]


def read_yaml(raw: bytes | str, file: str) -> Place:
    """The whole of a YAML text.

    Raises:
        ScriptError: no YAML, or nothing in it.
    """
    try:
        loader = _Loader(raw)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except RecursionError:
        raise ScriptError(f"{file}: nests too deep") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ScriptError(f"{file}{line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ScriptError(f"{file}: this is not YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise ScriptError(f"{file}: the script is empty; it needs a key 'rules'")
    return Place(file, "", node, value)


def _suggestion(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
