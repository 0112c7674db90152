"""The connection under a request: is the client still there, and ways to end it that HTTP does not offer."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "turnlane.line"


class Line:
    """One client's connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._sleeper: asyncio.Future[None] | None = None
        self.gone = False
        """Whether the connection has ended, by either side."""

    async def sleep(self, seconds: float | None) -> bool:
        """Wait so long, or for ever with None; wakes at once when the client goes. Returns whether it is there."""
        if self.gone or seconds == 0:
            return not self.gone
        self._sleeper = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _wake, self._sleeper)
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            if timer is not None:
                timer.cancel()
        return not self.gone

    def lost(self) -> None:
        """Called when the connection has ended."""
        self.gone = True
        if self._sleeper is not None:
            _wake(self._sleeper)

    async def cut(self, *, reset: bool) -> None:
        """End the connection now: in good order, or with a reset. What was written before still arrives."""
        while not self.gone and self._transport.get_write_buffer_size():
            await self.sleep(0.001)
        if reset:
            await asyncio.sleep(0)  # some loops hand their writes to the system at the end of a round
            self.abort()
        else:
            self._transport.close()
        await self.sleep(None)

    def abort(self) -> None:
        """Reset the connection; what was not yet sent is lost."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            # Lingering for 0 seconds is how a socket is told to send RST and not FIN when it closes.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class LineProtocol(HttpToolsProtocol):
    """uvicorn's protocol that hands the app its Line, as an extension in the scope."""

    line: Line

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # By default uvicorn logs a line per request as soon as any log handler is installed.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.line = Line(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.lost()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self.line}  # type: ignore[dict-item]


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
