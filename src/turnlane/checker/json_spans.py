"""Where the values of a JSON text stand in it: one of them can be replaced and the rest kept byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # the C scanner behind `json.loads`
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Value(NamedTuple):
    """A value and its span: `text[start:end]`, in characters."""

    data: Any
    start: int
    end: int


def value(text: str, start: int) -> Value:
    """The value at `start`, spaces before it left out. Raises `ValueError` where it is broken."""
    start = skip(text, start)
    data, end = _DECODER.raw_decode(text, start)
    return Value(data, start, end)


def skip(text: str, start: int) -> int:
    """The offset of the first character from `start` on that is no space."""
    match = _SPACE.match(text, start)
    return match.end() if match else start


def members(text: str, start: int) -> Iterator[tuple[str, Value]]:
    """Key and value of each member of the object whose `{` stands at `start`; the text must be valid JSON."""
    at = skip(text, start + 1)
    while text[at] == '"':
        key, at = scanstring(text, at + 1)
        member = value(text, skip(text, at) + 1)
        yield key, member
        at = _next(text, member.end)


def items(text: str, start: int) -> Iterator[Value]:
    """The items of the array whose `[` stands at `start`; the text must be valid JSON."""
    at = skip(text, start + 1)
    while text[at] != "]":
        item = value(text, at)
        yield item
        at = _next(text, item.end)


def member(text: str, start: int, key: str) -> Value | None:
    """The member `key` of the object at `start`; the last one counts, as for every reader of JSON."""
    return dict(members(text, start)).get(key)


def _next(text: str, end: int) -> int:
    at = skip(text, end)
    return skip(text, at + 1) if text[at] == "," else at
