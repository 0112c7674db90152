"""The text of a program's answer: of JSON, of an event stream, of plain text; and what says that it failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_TEXT_FIELDS: Final = (
    "answer", "reply", "response", "content", "text", "message", "output", "output_text", "result", "completion",
    "assistant", "bot", "data",
)  # fmt: skip
_ERROR_FIELDS: Final = ("error", "errors", "detail", "exception", "message", "title", "reason", "msg", "errorText")
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)
_MARKUP: Final = re.compile(r"\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_UNREADABLE: Final = (ValueError, RecursionError)
"""What comes of a body that is no JSON, or nests deeper than JSON can be read."""


def answer_text(body: str, content_type: str, path: str | None = None) -> str:
    """What the user reads.

    Args:
        body: the whole answer.
        content_type: its media type.
        path: where in a JSON answer, as `choices.0.message.content`; None looks for the usual fields.
    """
    try:
        if "event-stream" in content_type or body.startswith(("data:", "event:", 'f:{"')):
            return _stream_text(body)
        value = json.loads(body)
        return _shown(at(value, path) if path else _spoken(value))
    except _UNREADABLE:
        return body


def at(value: Any, path: str) -> Any:
    """What `a.0.b` means in a JSON value; None where there is no such thing."""
    for step in path.removeprefix("$").strip(".").split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and re.fullmatch(r"-?\d+", step):
            value = value[int(step)] if -len(value) <= int(step) < len(value) else None
        else:
            return None
    return value


def error_in(body: str, content_type: str) -> str | None:
    """What an answer that claims success says of an error: a top-level `error` beside no text; else None."""
    try:
        if "event-stream" in content_type or body.startswith("data:"):
            return _stream_error(body)
        value = json.loads(body)
        if not isinstance(value, Mapping) or any(value.get(name) for name in _TEXT_FIELDS if name != "message"):
            return None
        return _error_text(value["error"]) if value.get("error") else None
    except _UNREADABLE:
        return None


def refusal_text(body: str, content_type: str) -> str:
    """What an error's body says: its message, its title, or its first line; empty for nothing of use."""
    if "html" in content_type or is_html(body):
        return html_text(body)
    try:
        if body.startswith(("data:", "event:")):
            return _stream_error(body) or _first_line(body)
        return _error_text(json.loads(body))
    except _UNREADABLE:
        return _first_line(body)


def is_html(body: str) -> bool:
    """Whether a body is a page for a browser."""
    return bool(_MARKUP.match(body))


def html_text(body: str) -> str:
    """A page's title, and the first words on it."""
    title = _TITLE.search(body)
    rest = " ".join(_TAG.sub(" ", body[title.end() if title else 0 :]).split())[:200]
    shown = " ".join(title[1].split()) if title else ""
    return f"{shown}: {rest}" if shown and rest and not rest.startswith(shown) else rest or shown


def _stream_error(body: str) -> str | None:
    return next((found for event in _events(body) if (found := _error_event(event))), None)


def _error_event(event: Any) -> str | None:
    if not isinstance(event, Mapping):
        return None
    if event.get("type") == "error" or event.get("error"):
        return _error_text(event.get("error") or event)
    return None


def _error_text(value: Any) -> str:
    if isinstance(value, str):
        return _first_line(value)
    if isinstance(value, Mapping):
        found = next((_error_text(value[name]) for name in _ERROR_FIELDS if value.get(name)), "")
        kind = value.get("type") or value.get("code") or value.get("name")
        located = _location(value)
        if found and isinstance(kind, str) and kind not in found:
            return f"{kind}: {located}{found}"
        return f"{located}{found}" if found else json.dumps(value)[:300]
    if isinstance(value, list) and value:
        return "; ".join(_error_text(item) for item in value[:3])
    return json.dumps(value)[:300]


def _location(value: Mapping[str, Any]) -> str:
    """Where in the request a validation error is: `body.message: `."""
    place = value.get("loc")
    return ".".join(map(str, place)) + ": " if isinstance(place, list) and place else ""


def _spoken(value: Any) -> Any:
    """The part of a JSON answer that is spoken to the user."""
    if isinstance(value, Mapping):
        if isinstance(value.get("choices"), list) and value["choices"]:
            return at(value, "choices.0.message.content")
        for name in _TEXT_FIELDS:
            if value.get(name):
                return _spoken(value[name])
        return value
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return _spoken(value[-1])
    return value


def _stream_text(body: str) -> str:
    return "".join(_pieces(body)).strip() or body


def _pieces(body: str) -> Iterator[str]:
    for event in _events(body):
        if isinstance(event, str):
            yield event
        elif isinstance(event, Mapping):
            piece = at(event, "choices.0.delta.content") or event.get("delta") or event.get("textDelta")
            piece = piece or (None if "choices" in event or "type" in event else _spoken(event))
            piece = piece or (event.get("content") if event.get("type") not in ("error", None) else None)
            if isinstance(piece, str):
                yield piece


def _events(body: str) -> Iterator[Any]:
    """The data of each event: a JSON value, or text that is none. Also lines of AI SDK's older data stream."""
    for line in body.splitlines():
        data = line[5:].removeprefix(" ") if line.startswith("data:") else None
        if data is None and (old := re.match(r"([03]):(?=[\"{\[])", line)):
            value = _json_or_text(line[2:])
            yield {"type": "error", "message": value} if old[1] == "3" else value
        elif data and data != "[DONE]":
            yield _json_or_text(data)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]
