"""The listening socket: opens in the running loop, and closes at once even while requests hang."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from .line import LineProtocol

# Longer than the 60 s for which usual clients keep a connection: the client shall be the one to close it.
_KEEP_ALIVE = 75


class PortUnavailable(OSError):
    """The address cannot be listened on; its text is one sentence that says what to do."""


class Listener:
    """Serves an ASGI app on one address.

    uvicorn's Server is made for a process of its own: it takes the signal handlers, looks every 100 ms whether it
    shall stop, and then waits for its clients. Its protocol is all that is needed here.
    """

    def __init__(self, app: Any) -> None:
        # None for log_config: logging belongs to the process that the provider runs in.
        self._config = uvicorn.Config(
            app,
            http=LineProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which the system chooses if `port` is 0.

        Raises:
            PortUnavailable: the port is taken, or the address is none of this machine's.
        """
        self._config.load()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._protocol, host, port, backlog=2048)
        except OSError as error:
            raise _explained(error, host, port) from None
        return cast(int, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end all connections, with whatever runs on them."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._state.connections):
            cast(LineProtocol, connection).line.abort()
        await self._end_tasks()

    async def _end_tasks(self) -> None:
        await asyncio.sleep(0)  # the connections hear of their end
        for _ in range(2):  # most end by themselves; a script that still thinks is cancelled
            tasks = set(self._state.tasks)
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=0.05)
            for task in set(self._state.tasks):
                task.cancel()

    def _protocol(self) -> LineProtocol:
        return LineProtocol(config=self._config, server_state=self._state, app_state={})


def _explained(error: OSError, host: str, port: int) -> PortUnavailable:
    if error.errno == errno.EADDRINUSE:
        text = f"Port {port} on {host} is already in use; choose another one, or 0 for any free port."
    elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        text = f"{host} is not an address of this machine; choose 127.0.0.1 or 0.0.0.0."
    elif error.errno == errno.EACCES:
        text = f"Port {port} needs privileges that this process does not have; choose one above 1023."
    else:
        text = f"Cannot listen on {host} port {port}: {error.strerror}."
    return PortUnavailable(error.errno or 0, text)
