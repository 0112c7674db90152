"""An address that a process listens on, and the HTTP server there."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

STREAM_GRACE: Final = 3.0
"""Seconds that open connections get after the drain. What still streams then follows a turn that waits."""

KEEP_ALIVE: Final = 75.0
"""Seconds; longer than a reverse proxy's own, so that the proxy and not we close an idle connection (else 502)."""


class AddressUnavailable(Exception):
    """The address can't be listened on. The message says why and what to do."""


class Requests:
    """Counts the requests that are being answered by `app`, to wait for their end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._open += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def ended(self, timeout: float) -> None:
        """Wait until none is open, or `timeout` seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()


@contextmanager
def bound_socket(host: str, port: int, *, flag: str = "port") -> Iterator[socket.socket]:
    """An address, taken before anything slow or durable happens. It listens only when `listening` begins.

    Args:
        flag: the name of the setting that the port comes from, for what is said when it can't be had.

    Raises:
        AddressUnavailable
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise AddressUnavailable(f"{host} is no address of this machine: {error.strerror}") from None
    with socket.socket(family, kind, protocol) as listener:
        # A restarted server must not wait for the connections of the one before to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            _refuse_taken(listener, port)
        except OSError as error:
            raise AddressUnavailable(_why_not(host, port, flag, error)) from None
        yield listener


@asynccontextmanager
async def listening(app: ASGIApp, listener: socket.socket, stopped: asyncio.Event) -> AsyncIterator[None]:
    """The HTTP server, from when it listens. `stopped` is set when it has ended."""
    http = _Http(_config(app))
    task = asyncio.create_task(http.serve(sockets=[listener]), name="http server")
    task.add_done_callback(lambda _: stopped.set())
    ready = asyncio.create_task(http.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        task.result()
    try:
        yield
    finally:
        http.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


def url_of(host: str, listener: socket.socket) -> str:
    """What to type into a client: an address that listens everywhere is reached as loopback."""
    name, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - compared, not bound
    if host.strip("[]").lower() == "localhost":
        shown = "localhost"
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _refuse_taken(listener: socket.socket, port: int) -> None:
    """With SO_REUSEADDR only `listen` tells that another process listens; tried on a twin, closed at once."""
    if port == 0:
        return
    with socket.socket(listener.family, listener.type, listener.proto) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        twin.bind(listener.getsockname())
        twin.listen(1)


def _why_not(host: str, port: int, flag: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another process: stop it, or choose another with --{flag}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to listen on port {port} of {host}: choose a port from 1024 up with --{flag}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another with --{flag.replace('port', 'host')}"
    return f"can't listen on {host} port {port}: {error.strerror or error}"


class _Http(uvicorn.Server):
    """uvicorn without its own signal handling: we drain first."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def capture_signals(self) -> Any:
        return nullcontext()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # A client's address that it can choose itself is worth nothing: who calls is told by the key, and TL402 is
        # noticed by the connection's real other end.
        proxy_headers=False,
        timeout_keep_alive=int(KEEP_ALIVE),
        timeout_graceful_shutdown=int(STREAM_GRACE),
        backlog=2048,
    )
