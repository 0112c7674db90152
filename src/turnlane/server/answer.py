"""What a route gives back: JSON, bytes or a stream of events, as ASGI messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from starlette.types import Receive, Send

from turnlane.runtime.conversation import JsonObject

JSON_TYPE: Final = "application/json"
HEARTBEAT: Final = b": still here\n\n"
"""A comment line of the event stream (WHATWG HTML, 9.2): keeps proxies from closing a quiet connection."""


class Answer(Protocol):
    """Something that can be sent."""

    @property
    def status(self) -> int: ...

    async def send(self, receive: Receive, send: Send) -> None: ...


@dataclass(slots=True)
class Bytes:
    """A body that is ready."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            *_encoded(self.headers),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Bytes:
    """A JSON answer. ASCII only, so that no text an agent produces can fail to encode."""
    return Bytes(json.dumps(value).encode(), JSON_TYPE, status, headers or {})


def frame(event: JsonObject) -> bytes:
    """One event of a response stream, framed as OpenAI does: with its type as the event's name."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def data_frame(value: JsonObject) -> bytes:
    """One chunk of a chat completion stream."""
    return f"data: {json.dumps(value)}\n\n".encode()


class EventStream:
    """Frames as they come; comments while none comes; an end when the client has gone.

    Nothing is buffered: the next frame is asked for when the last was taken, so a slow reader costs no
    memory. What the frames come from goes on without the reader (hazard TL502).
    """

    status = 200

    def __init__(
        self, frames: AsyncGenerator[bytes, None], heartbeat: float, headers: Mapping[str, str] | None = None
    ) -> None:
        self._frames = frames
        self._heartbeat = heartbeat
        self._headers = headers or {}
        self._sent = 0
        self._sending = False

    async def send(self, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            # nginx would collect the stream before passing it on
            (b"x-accel-buffering", b"no"),
            *_encoded(self._headers),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        pump = asyncio.create_task(self._pump(send))
        watch = asyncio.create_task(self._watch(receive, send))
        try:
            await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not pump.done():
                pump.cancel()
            await asyncio.gather(pump, watch, return_exceptions=True)
        if not pump.cancelled():
            pump.result()
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            async for piece in frames:
                if piece:
                    await self._write(send, piece)

    async def _watch(self, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            seen = self._sent
            while not (await asyncio.wait({gone}, timeout=self._heartbeat))[0]:
                if seen == self._sent and not self._sending:
                    await self._write(send, HEARTBEAT)
                seen = self._sent
        finally:
            gone.cancel()

    async def _write(self, send: Send, piece: bytes) -> None:
        self._sending = True
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        self._sending = False
        self._sent += 1


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
