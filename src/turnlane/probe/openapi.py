"""Where a program's own description (OpenAPI) says that messages go, and in which shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from turnlane.probe.field_names import meaning, rank
from turnlane.probe.template import Json, speaks

_METHODS: Final = ("post", "put", "get", "patch")
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_MAX_DEPTH: Final = 4


@dataclass(frozen=True, slots=True)
class Operation:
    """A way to say something to the program: `url` is the path with its query, `json` the body's template."""

    method: str
    url: str
    json: Json


def chat_operation(document: Mapping[str, Any], path: str | None = None) -> Operation | None:
    """The operation that most likely takes a user's message; None if none does.

    Args:
        document: the OpenAPI document.
        path: look at this path only.
    """
    found = [
        (score, operation)
        for place, method, described in _operations(document)
        if path in (None, place)
        for operation, score in [_operation(document, place, method, described)]
        if speaks(operation.url, operation.json)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def paths_of(document: Mapping[str, Any]) -> Sequence[str]:
    """What it offers, as `POST /chat`."""
    return [f"{method.upper()} {place}" for place, method, _ in _operations(document)]


def takes_form(document: Mapping[str, Any], path: str) -> bool:
    """Whether what it offers at `path` wants the fields of a form, and no JSON."""
    wanted = [_content(described).keys() for place, _, described in _operations(document) if place == path]
    return any(kinds & _FORMS and "application/json" not in kinds for kinds in wanted)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    paths = document.get("paths")
    for place, methods in paths.items() if isinstance(paths, Mapping) else ():
        for method in _METHODS:
            if isinstance(methods, Mapping) and isinstance(methods.get(method), Mapping):
                yield place, method, methods[method]


def _operation(
    document: Mapping[str, Any], place: str, method: str, described: Mapping[str, Any]
) -> tuple[Operation, int]:
    body = _body_template(document, described)
    url = _url_template(document, place, described)
    score = 2 * (method == "post") + any(word in place.lower() for word in ("chat", "message", "ask", "agent"))
    score += 2 * ("{prompt}" in str(body)) + ("{conversation}" in str(body) + url)
    return Operation(method.upper(), url, body), score


def _url_template(document: Mapping[str, Any], place: str, described: Mapping[str, Any]) -> str:
    query = []
    for given in described.get("parameters") or ():
        parameter = _resolved(document, given)
        name, where = parameter.get("name", ""), parameter.get("in")
        says = meaning(name)
        if where == "path":
            # What the name does not say is most likely an id.
            place = place.replace("{" + name + "}", "{" + (says or "conversation") + "}")
        elif where == "query" and says in ("prompt", "conversation", "user"):
            query.append(f"{name}={{{says}}}")
    return place + ("?" + "&".join(query) if query else "")


def _body_template(document: Mapping[str, Any], described: Mapping[str, Any]) -> Json:
    schema = (_content(described).get("application/json") or {}).get("schema")
    return None if schema is None else _value(document, schema, "", _MAX_DEPTH)


def _content(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return (described.get("requestBody") or {}).get("content") or {}


def _value(document: Mapping[str, Any], schema: Mapping[str, Any], name: str, depth: int) -> Json:
    """A value of `schema` with names in braces where a field's name says what belongs there."""
    schema = _resolved(document, schema)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        options = [option for option in schema.get(choice) or () if option.get("type") != "null"]
        if options:
            return _value(document, options[0], name, depth)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return _object(document, schema, depth)
    if kind == "array":
        return _array(document, schema, name, depth)
    if kind in ("integer", "number"):
        return schema.get("default", schema.get("minimum", 1))
    if kind == "boolean":
        return schema.get("default", False)
    says = meaning(name)
    return "{" + says + "}" if says in ("prompt", "conversation", "user") else schema.get("default") or "practice"


def _object(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> dict[str, Json]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required = schema.get("required") or ()
    if depth == 0:
        return {}
    spoken = _spoken_field(properties)
    return {
        name: _value(document, inner, name, depth - 1)
        for name, inner in properties.items()
        if name in required or name == spoken or meaning(name) in ("conversation", "user")
    }


def _spoken_field(properties: Mapping[str, Any]) -> str | None:
    """The one field that holds what the user says."""
    ranked = [(rank(name), name) for name in properties if meaning(name) == "prompt"]
    return min(((place, name) for place, name in ranked if place is not None), default=(0, None))[1]


def _array(document: Mapping[str, Any], schema: Mapping[str, Any], name: str, depth: int) -> Json:
    item = _resolved(document, schema.get("items") or {})
    properties = item.get("properties") or {}
    if meaning(name) == "messages" and ("role" in properties or not properties):
        return "{ui_messages}" if "parts" in properties else "{messages}"
    return [_value(document, item, name, depth - 1)] if depth and schema.get("minItems") else []


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(8):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        schema = found if isinstance(found, Mapping) else {}
    return schema
