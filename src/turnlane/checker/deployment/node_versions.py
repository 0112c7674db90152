"""Ranges of npm packages, as far as the rules need them: the least and the greatest version that one admits."""

from __future__ import annotations

import re
from typing import NamedTuple

_PART = re.compile(r"(?P<operator>\^|~|>=|<=|>|<|=)?\s*v?(?P<version>\d+(?:\.(?:\d+|[xX*]))*)(?:[-+][\w.+-]+)?")


class NodeRange(NamedTuple):
    """From `low` to before `below`; None: without end."""

    low: tuple[int, ...]
    below: tuple[int, ...] | None


def node_range(text: str) -> NodeRange | None:
    """Read a range such as `^1.2.0`, `>=18 <23`, `20.x`, `18 || 20`; None for a tag such as `latest`, or `*`."""
    parts = [found for piece in text.split("||") if (found := _all_of(piece)) is not None]
    if not parts:
        return None
    highs = [part.below for part in parts]
    below = None if None in highs else max(high for high in highs if high is not None)
    return NodeRange(min(part.low for part in parts), below)


def _all_of(text: str) -> NodeRange | None:
    hyphen = re.fullmatch(r"\s*v?([\d.]+)\s+-\s+v?([\d.]+)\s*", text)
    if hyphen:
        return NodeRange(_numbers(hyphen[1]), _after(_numbers(hyphen[2])))
    found: NodeRange | None = None
    for match in _PART.finditer(text):
        part = _one(match["operator"] or "=", _numbers(match["version"]))
        found = part if found is None else NodeRange(max(found.low, part.low), _lesser(found.below, part.below))
    return found


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _one(operator: str, given: tuple[int, ...]) -> NodeRange:
    match operator:
        case "^":
            place = next((at for at, part in enumerate(given) if part), len(given) - 1)
            return NodeRange(given, _after(given[: place + 1]))
        case "~":
            return NodeRange(given, _after(given[:2]))
        case ">=":
            return NodeRange(given, None)
        case ">":
            return NodeRange(_after(given), None)
        case "<":
            return NodeRange((), given)
        case "<=":
            return NodeRange((), _after(given))
        case _:
            return NodeRange(given, _after(given))


def _after(given: tuple[int, ...]) -> tuple[int, ...]:
    """The first version after all that begin with `given`."""
    return (*given[:-1], given[-1] + 1)


def _lesser(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
