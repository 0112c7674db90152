"""One operation of the HTTP surface: what the router calls and what the documents are made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from turnlane.server.answer import Answer
from turnlane.server.call import Call, Server
from turnlane.server.problem import Problem

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path.

    `answer` is the shape of the 200; `errors` are the statuses beside those that every operation has.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type[BaseModel] | str
    """A shape, or the content type of an answer that is no JSON."""
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    headers: Sequence[str] = ()
    errors: Sequence[int] = ()
    streams: bool = False
    open: bool = False
    """Needs no key."""

    @property
    def name(self) -> str:
        return self.handler.__name__


class Resource:
    """All operations of one path, as an ASGI app."""

    def __init__(self, server: Server, path: str, operations: Sequence[Operation]) -> None:
        self._server = server
        self._path = path
        self._handlers = {operation.method: operation.handler for operation in operations}
        if "GET" in self._handlers:
            self._handlers["HEAD"] = self._handlers["GET"]
        self._allow = ", ".join(self._handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["turnlane.path"] = self._path
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise Problem(
                405,
                f"{scope['method']} is not possible here; {self._allow} is",
                code="method_not_allowed",
                headers={"Allow": self._allow},
            )
        call = Call(self._server, scope, receive, scope["turnlane.caller"], scope["turnlane.request_id"])
        answer = await handler(call)
        await answer.send(receive, send)
