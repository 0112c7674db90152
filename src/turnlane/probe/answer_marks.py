"""What an answer says of itself beside its text, such as `complete: true` or a stream's `[DONE]`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from turnlane.probe.answer_text import answer_text

Marks = Mapping[str, frozenset[str]]
"""By the place in the answer, such as `choices.finish_reason`, what is said there."""

MAX_LENGTH: Final = 60
"""Characters of a mark; what is longer is text."""
_CUT: Final = re.compile(r"incomplete|truncat|partial|unfinished|cut|\blength\b|max_tokens", re.IGNORECASE)
_WHOLE: Final = re.compile(r"complete|whole|finished|done|full", re.IGNORECASE)
FEWEST: Final = 2
"""Whole answers that must agree before another one differs from them."""


def marks_of(status: int | None, body: str, content_type: str) -> Marks:
    """The marks of one answer. What holds a digit counts, measures or identifies, and is none."""
    text = answer_text(body, content_type)
    found: dict[str, set[str]] = {"status": {str(status)}}
    for place, value in _said(body):
        if value not in text and len(value) <= MAX_LENGTH and not any(map(str.isdigit, value)):
            found.setdefault(place, set()).add(value)
    return {place: frozenset(values) for place, values in found.items()}


def says_incomplete(marks: Marks) -> bool:
    """Whether an answer says of itself that it is not whole, in a usual word."""
    return any(
        _CUT.search(value)
        or (value == "True" and _CUT.search(place))
        or (value == "False" and _WHOLE.search(place.rpartition(".")[2]))
        for place, values in marks.items()
        for value in values
    )


def differs(marks: Marks, whole: Sequence[Marks]) -> bool:
    """Whether an answer says otherwise where all whole ones say the same, or says what none of them says."""
    places = {place for one in (marks, *whole) for place in one}
    return len(whole) >= FEWEST and any(
        len(usual := {one.get(place) for one in whole}) == 1 and marks.get(place) not in usual for place in places
    )


def _said(body: str) -> Iterator[tuple[str, str]]:
    value = _json(body)
    if value is not None:
        yield from _leaves("", value)
        return
    for line in body.splitlines():
        name, colon, data = line.partition(":")
        if colon and name in ("event", "data"):
            event = _json(data)
            yield from _leaves(name, data.strip() if event is None else event)


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{place}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(place, inner)
    elif isinstance(value, str | bool) or value is None:
        yield place, str(value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
