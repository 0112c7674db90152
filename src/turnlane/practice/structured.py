"""A small JSON value that fits the schema a request asks for (`response_format`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from .prompt import PracticeRequest

WORD: Final = "practice"

_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "practice@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}


def structured(request: PracticeRequest) -> str | None:
    """JSON text for the request's `response_format`; None when it asks for plain text."""
    wanted = request.body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_object":
        return "{}"
    if kind != "json_schema" or not isinstance(wanted, Mapping):
        return None
    schema = (wanted.get("json_schema") or {}).get("schema") or {}
    return json.dumps(_Maker(schema).value(schema), ensure_ascii=False)


class _Recursive(Exception):
    """A schema needs itself; another branch has to be taken."""


class _Maker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._inside: list[str] = []

    def value(self, schema: Any) -> Any:
        """A value of `schema`: the first choice of everything, no more items than it needs.

        Patterns are not looked at. A schema that can only be filled without end gets null there.
        """
        try:
            return self._value(schema)
        except _Recursive:
            return None

    def _value(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return WORD
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if schema.get("enum"):
            return schema["enum"][0]
        if "$ref" in schema:
            return self._referred(schema["$ref"])
        for choice in ("anyOf", "oneOf"):
            if schema.get(choice):
                return self._first_possible(schema[choice])
        if schema.get("allOf"):
            return self._all_of(schema)
        return self._of_type(schema)

    def _referred(self, reference: str) -> Any:
        if reference in self._inside:
            raise _Recursive
        self._inside.append(reference)
        try:
            return self._value(self._find(reference))
        finally:
            self._inside.pop()

    def _find(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found

    def _first_possible(self, choices: list[Any]) -> Any:
        for choice in choices:
            try:
                return self._value(choice)
            except _Recursive:
                continue
        raise _Recursive

    def _all_of(self, schema: Mapping[str, Any]) -> Any:
        parts = [self._value(part) for part in schema["allOf"]]
        if "properties" in schema:
            parts.append(self._object(schema))
        if all(isinstance(part, dict) for part in parts):
            return {key: value for part in parts for key, value in part.items()}
        return parts[0]

    def _of_type(self, schema: Mapping[str, Any]) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return [self._value(schema.get("items")) for _ in range(schema.get("minItems", 0))]
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return False
        return None if kind == "null" else _text(schema)

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        return {name: self._value(properties.get(name)) for name in schema.get("required", ())}


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(schema.get("format") or "", WORD)
    missing = schema.get("minLength", 0) - len(text)
    text += "." * max(0, missing)
    longest: int = schema.get("maxLength", len(text))
    short: str = text[:longest]
    return short


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", -math.inf)
    above = schema.get("exclusiveMinimum", -math.inf)
    high = schema.get("maximum", math.inf)
    below = schema.get("exclusiveMaximum", math.inf)
    value: float = 0
    if value < low or value <= above:
        value = math.ceil(max(low, above) / step) * step
        value += step if value <= above else 0
    elif value > high or value >= below:
        value = math.floor(min(high, below) / step) * step
        value -= step if value >= below else 0
    if not whole and not (low <= value <= high and above < value < below):
        return float((max(low, above) + min(high, below)) / 2)
    return int(value) if whole else value
