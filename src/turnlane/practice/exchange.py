"""One request and its answer on the wire, and what is to be recorded of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from .budget import Headers
from .line import EXTENSION, Line
from .refusal import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 32 * 1024 * 1024
_JSON = (b"content-type", b"application/json")


class ClientGone(Exception):  # not an error: what a client may do at any time
    """The client went away before its request was read."""


class Exchange:
    """Reads one request and sends one answer, whole or in pieces."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request_headers = cast(Headers, scope["headers"])
        self.line = cast(Line, scope["extensions"][EXTENSION])
        self.headers: Headers = []
        """Sent with the answer, whatever it will be."""
        self.status: int | None = None
        """The status sent; None before."""
        self.fault: str | None = None
        """The kind of fault met."""
        self.number = 0
        """The recorder's; 0 for what is not recorded."""
        self.complete = False
        """Whether the answer has ended, as it was meant to end."""
        self._receive = receive
        self._send = send

    async def read(self) -> bytes:
        """The request's body.

        Raises:
            Refusal: 413 for more than 32 MB.
            ClientGone: the client left while sending.
        """
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message["type"] == "http.request" and message.get("more_body"):
            message = await self._receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                raise Refusal("The request's body is too large.", status=413, code="request_too_large")
        if message["type"] != "http.request":
            raise ClientGone
        return body

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error object."""
        await self.respond(refusal.status, refusal.body())

    async def respond(self, status: int, body: bytes, content_type: bytes | None = None) -> None:
        """Answer at once."""
        await self._start(status, body, content_type)
        await self._write(body, more=False)
        self.complete = not self.line.gone

    async def respond_in_part(self, status: int, body: bytes, part: int, *, reset: bool) -> None:
        """Announce the whole body, send `part` bytes of it, and cut the connection."""
        await self._start(status, body, None)
        await self._write(body[:part], more=True)
        await self.cut(reset=reset)

    async def start_events(self) -> None:
        """Begin a stream of server-sent events."""
        self.status = 200
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers + self.headers})

    async def event(self, data: bytes) -> None:
        """Send one or several events."""
        await self._write(data, more=True)

    async def end_events(self, data: bytes = b"") -> None:
        """Send the last events and end the stream in good order."""
        await self._write(data, more=False)
        self.complete = not self.line.gone

    async def cut(self, *, reset: bool) -> None:
        """End the connection without an end of the answer."""
        self.complete = not self.line.gone
        await self.line.cut(reset=reset)

    async def hang(self) -> None:
        """Send nothing more, until the client gives up."""
        await self.line.sleep(None)

    async def _start(self, status: int, body: bytes, content_type: bytes | None) -> None:
        self.status = status
        kind = (b"content-type", content_type) if content_type else _JSON
        headers = [kind, (b"content-length", b"%d" % len(body)), *self.headers]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _write(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
