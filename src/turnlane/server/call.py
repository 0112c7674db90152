"""One HTTP request on its way to a route, and what all routes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.types import Receive, Scope

from turnlane.runtime.conversation import Conversation, Turn
from turnlane.runtime.engine import Engine
from turnlane.runtime.intake import Intake
from turnlane.server.keys import ApiKeys, Caller
from turnlane.server.problem import Problem, invalid, not_found
from turnlane.server.settings import Readiness, ServerSettings
from turnlane.server.validation import is_identifier, parse_body, parse_query

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Server:
    """What all routes share."""

    intake: Intake
    keys: ApiKeys | None
    settings: ServerSettings
    ready: Callable[[], Readiness]
    metrics: Callable[[], tuple[bytes, str]] | None

    @property
    def engine(self) -> Engine:
        return self.intake.engine


@dataclass(slots=True)
class Call:
    """One request whose caller is known."""

    server: Server
    scope: Scope
    receive: Receive
    caller: Caller
    request_id: str
    _body: bytes | None = None

    @property
    def engine(self) -> Engine:
        return self.server.intake.engine

    @property
    def peer(self) -> tuple[str, int] | None:
        client = self.scope.get("client")
        return (client[0], client[1]) if client else None

    @property
    def port(self) -> int | None:
        """Our end of the connection."""
        server = self.scope.get("server")
        return server[1] if server else None

    def path(self, name: str) -> str:
        """A part of the path that is named in the route."""
        value: str = self.scope["path_params"][name]
        return value

    def header(self, name: bytes) -> str | None:
        return header(self.scope, name)

    def query(self, shape: type[Model]) -> Model:
        """Raises Problem (400)."""
        text = self.scope["query_string"].decode("latin-1")
        try:
            pairs = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=50))
        except ValueError:
            raise invalid("the URL has too many query parameters") from None
        return parse_query(shape, pairs)

    async def raw_body(self) -> bytes:
        """The body, refused while it is read once it is too large.

        Raises:
            Problem: 413.
        """
        if self._body is None:
            self._body = await _read(self.receive, self.header(b"content-length"), self.server.settings.max_body)
        return self._body

    async def body(self, shape: type[Model], *, optional: bool = False) -> Model:
        """The checked JSON body; with `optional` no body is an empty object.

        Raises:
            Problem: 400, 413, or 415 when it isn't declared as JSON.
        """
        raw = await self.raw_body()
        if optional and not raw:
            raw = b"{}"
        elif not _is_json(self.header(b"content-type")):
            # Also keeps web pages of other sites out: a form or text/plain could be posted from a
            # browser without asking us first (CORS preflight), JSON can't.
            raise Problem(415, "send the body as JSON, with the header Content-Type: application/json")
        return parse_body(shape, raw)

    async def own_turn(self, turn_id: str, *, param: str | None = None) -> Turn:
        """Raises Problem (404), also for other people's turns."""
        turn = await self.engine.turn(turn_id) if is_identifier(turn_id) else None
        if turn is None or not self.caller.owns(turn.key):
            raise not_found("response", turn_id, param=param)
        return turn

    async def own_conversation(self, conversation_id: str) -> Conversation:
        """Raises Problem (404), also for other people's conversations."""
        found = await self.engine.conversation(conversation_id) if is_identifier(conversation_id) else None
        if found is None or not self.caller.owns(found.key):
            raise not_found("conversation", conversation_id)
        return found


def header(scope: Scope, name: bytes) -> str | None:
    """A request header by its lower-case name; the first if there are several."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def _is_json(content_type: str | None) -> bool:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def _read(receive: Receive, declared: str | None, bound: int) -> bytes:
    if declared is not None and declared.isdigit() and int(declared[:20]) > bound:
        raise _too_large(bound)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise invalid("the connection ended before the whole body had arrived")
        piece = message.get("body", b"")
        size += len(piece)
        if size > bound:
            raise _too_large(bound)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(bound: int) -> Problem:
    return Problem(413, f"the body has more than {bound} bytes, the most this server takes", code="body_too_large")
