"""The HTTP server as one ASGI app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from starlette.routing import Route, Router, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from turnlane.runtime.intake import Intake
from turnlane.server.answer import JSON_TYPE, Answer, Bytes
from turnlane.server.answer_shapes import OpenApiShape
from turnlane.server.call import Call, Server
from turnlane.server.gate import Gate
from turnlane.server.keys import ApiKeys
from turnlane.server.openapi import document_bytes
from turnlane.server.operation import Operation, Resource
from turnlane.server.problem import Problem
from turnlane.server.routes import chat, conversations, models, operations, responses
from turnlane.server.settings import Readiness, ServerSettings


async def openapi_json(call: Call) -> Answer:
    return Bytes(document_bytes(ALL_OPERATIONS), JSON_TYPE)


ALL_OPERATIONS: Final[tuple[Operation, ...]] = (
    *responses.OPERATIONS,
    *conversations.OPERATIONS,
    *chat.OPERATIONS,
    *models.OPERATIONS,
    *operations.OPERATIONS,
    Operation("GET", "/openapi.json", openapi_json, "This document.", OpenApiShape),
)


PROBES: Final[tuple[Operation, ...]] = tuple(
    operation for operation in ALL_OPERATIONS if operation.path in ("/healthz", "/readyz", "/metrics")
)
"""What a process without agents' HTTP, such as a worker, answers."""

_KNOWN: Final = [compile_path(operation.path)[0] for operation in ALL_OPERATIONS]
"""What the paths match."""


def create_app(
    intake: Intake,
    *,
    keys: ApiKeys | None,
    settings: ServerSettings,
    ready: Callable[[], Readiness],
    metrics: Callable[[], tuple[bytes, str]] | None,
    operations: Sequence[Operation] = ALL_OPERATIONS,
) -> ASGIApp:
    """The server over an open engine.

    Args:
        intake: accepts turns; its engine must be open while requests come.
        keys: None: everybody who reaches the address may call (see `keys.check_binding`).
        ready: asked by `/readyz`.
        metrics: the body and content type of `/metrics`; None: 404.
        operations: what there is to ask.
    """
    server = Server(intake, keys, settings, ready, metrics)
    unknown = _unknown if operations is ALL_OPERATIONS else _only(operations)
    router = Router(routes_of(server, operations), redirect_slashes=False, default=unknown)
    return Gate(router, server)


def routes_of(server: Server, operations: Sequence[Operation] = ALL_OPERATIONS) -> list[Route]:
    """One route per path."""
    by_path: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_path[operation.path].append(operation)
    return [Route(path, Resource(server, path, of_path)) for path, of_path in by_path.items()]


def _only(operations: Sequence[Operation]) -> ASGIApp:
    """The answer to everything else, where there is little."""

    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        there_is = ", ".join(operation.path for operation in operations)
        raise Problem(404, f"this process runs agents and answers {there_is} only", code="not_found")

    return unknown


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    said = f"there is nothing at {path[:200]!r}; GET /openapi.json lists what there is"
    if any(pattern.match("/v1" + path) for pattern in _KNOWN):
        said += f"; did you mean /v1{path[:200]}? The client's base_url ends in /v1"
    raise Problem(404, said, code="not_found")
