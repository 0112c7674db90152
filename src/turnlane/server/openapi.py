"""The OpenAPI document (3.1), made from the route table and the request shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from turnlane.runtime.conversation import JsonObject
from turnlane.server.answer_shapes import ErrorAnswer
from turnlane.server.operation import Operation

STATUS_TEXT: Final = {
    400: "The request is wrong; `param` names the place.",
    401: "No valid API key.",
    403: "Without API keys: another host or origin than this server's own.",
    404: "There is none, or it is not yours.",
    405: "Not possible with this method.",
    409: "Not now: another turn, another state or another use of the Idempotency-Key stands against it.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    429: "A queue is full; `Retry-After` says when to try again.",
    500: "The turn failed in the agent, a tool or its state; or a bug in Turnlane (`turnlane_error`).",
    502: "The turn failed at the model's provider.",
    503: "The server is stopping or its store can't be used; `Retry-After` says when to try again.",
    504: "The turn's deadline is over.",
}

_PATH_PARAMETER: Final = re.compile(r"{(\w+)}")
_REF: Final = "#/components/schemas/{model}"


@cache
def document_bytes(operations: tuple[Operation, ...]) -> bytes:
    """The document as JSON; made once."""
    return json.dumps(document(operations)).encode()


def document(operations: Sequence[Operation]) -> JsonObject:
    """The whole document."""
    paths: JsonObject = {}
    schemas = _schemas(operations)
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Turnlane",
            "version": _version(),
            "description": "AutoGen agents behind OpenAI's Responses, Conversations and Chat Completions API.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def statuses_of(operation: Operation) -> list[int]:
    """The error statuses an operation can have."""
    always = [400, 405] if operation.open else [400, 401, 403, 405]
    body = [413, 415] if operation.body is not None else []
    return sorted({*always, *body, *operation.errors})


def _operation(operation: Operation, schemas: JsonObject) -> JsonObject:
    shown: JsonObject = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, schemas), *_headers(operation)],
        "responses": _responses(operation),
        "security": [] if operation.open else [{"key": []}, {}],
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _reference(operation.body)}}
        shown["requestBody"] = {"required": not operation.body_optional, "content": content}
    return shown


def _responses(operation: Operation) -> JsonObject:
    if isinstance(operation.answer, str):
        content: JsonObject = {operation.answer: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": _reference(operation.answer)}}
    if operation.streams:
        # No type: OpenAPI 3.1 leaves open whether a schema is of the whole stream or of one event.
        content["text/event-stream"] = {"schema": {"description": "Server-sent events, with `stream: true`."}}
    error = {"application/json": {"schema": _reference(ErrorAnswer)}}
    errors = {
        str(status): {"description": STATUS_TEXT[status], "content": error} for status in statuses_of(operation)
    }
    return {"200": {"description": operation.summary, "content": content}, **errors}


def _path_parameters(operation: Operation) -> Iterable[JsonObject]:
    for name in _PATH_PARAMETER.findall(operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(operation: Operation, schemas: JsonObject) -> Iterable[JsonObject]:
    if operation.query is None:
        return
    for name, schema in schemas[operation.query.__name__]["properties"].items():
        plain = {key: value for key, value in schema.items() if key not in ("description", "title")}
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", ""),
            "schema": _without_null(plain),
        }


def _headers(operation: Operation) -> Iterable[JsonObject]:
    for name in operation.headers:
        yield {"name": name, "in": "header", "required": False, "schema": {"type": "string", "minLength": 1}}


def _without_null(schema: JsonObject) -> JsonObject:
    """A parameter of a URL is left out rather than null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return options[0]  # type: ignore[no-any-return]


def _schemas(operations: Sequence[Operation]) -> JsonObject:
    requests: list[Any] = []
    answers: list[Any] = [(ErrorAnswer, "serialization")]
    for operation in operations:
        requests += [(shape, "validation") for shape in (operation.body, operation.query) if shape is not None]
        if not isinstance(operation.answer, str):
            answers.append((operation.answer, "serialization"))
    _, definitions = models_json_schema([*requests, *answers], ref_template=_REF)
    schemas: JsonObject = definitions["$defs"]
    return schemas


def _reference(shape: type[BaseModel]) -> JsonObject:
    return {"$ref": _REF.format(model=shape.__name__)}


def _version() -> str:
    try:
        return version("turnlane")
    except PackageNotFoundError:
        return "unknown"
