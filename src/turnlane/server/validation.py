"""From bytes or a query to a checked shape; every mistake becomes a 400 that names its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from turnlane.server.problem import Problem, invalid
from turnlane.server.request_shapes import IMAGE_PATTERN

Model = TypeVar("Model", bound=BaseModel)

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.\-]{1,128}")

_CODES: Final[Mapping[str, str]] = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "json_invalid": "invalid_json",
}


def is_identifier(text: str) -> bool:
    """Whether `text` can be one of our ids. Anything else is "not found" without asking the engine."""
    return _IDENTIFIER.fullmatch(text) is not None


def parse_body(shape: type[Model], body: bytes) -> Model:
    """Check a JSON body. Deep nesting, invalid UTF-8 and lone surrogates are refused by the JSON parser.

    Raises:
        Problem: 400, naming the first mistake.
    """
    try:
        parsed = shape.model_validate_json(body)
    except ValidationError as error:
        raise _problem(error) from None
    # Refused, because not every store can keep it; the check of the whole tree runs only when the
    # escape occurs at all (a raw NUL byte is no JSON).
    if b"\\u0000" in body and _holds_nul(parsed.model_dump()):
        raise invalid("the body holds a NUL character (U+0000) in a string; remove it")
    return parsed


def parse_query(shape: type[Model], query: Mapping[str, str]) -> Model:
    """Check the query of a URL.

    Raises:
        Problem: 400, naming the first mistake.
    """
    try:
        return shape.model_validate(query)
    except ValidationError as error:
        raise _problem(error) from None


def _problem(error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    kind = first["type"]
    where = _path(first["loc"])
    if kind == "json_invalid":
        return invalid(f"the body is no valid JSON: {first['ctx']['error']}", code=_CODES[kind])
    if kind in ("model_type", "model_attributes_type", "dict_type") and not where:
        return invalid("the body must be a JSON object")
    code = _CODES.get(kind, "invalid_value")
    return invalid(f"{where}: {_message(first)}", param=where, code=code)


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "missing":
        return "this parameter is required"
    if kind == "extra_forbidden":
        return "unknown parameter"
    if kind == "union_tag_invalid":
        tag = str(error["ctx"]["tag"]).removeprefix("|")[:80]
        known = str(error["ctx"]["expected_tags"]).replace("'|", "'")
        return f"type {tag!r} is not supported; use {known}" if tag else f"needs a type: {known}"
    if kind == "union_tag_not_found":
        return "must be an object with a type"
    if kind == "list_type" and "|list" in error["loc"]:
        return f"a string or a list of {'items' if error['loc'] == ('input', '|list') else 'parts'}"
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == IMAGE_PATTERN:
        return "images must be data: URLs with base64; this server fetches no addresses"
    return error["msg"]


def _path(location: Sequence[str | int]) -> str:
    """`("input", "|list", 1, "|message", "role")` as `input[1].role`: tags of unions are no fields."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("|") and step != "[key]":
            path += f".{step}" if path else step
    return path[:200]


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return any(_holds_nul(item) for item in value)
    return False
