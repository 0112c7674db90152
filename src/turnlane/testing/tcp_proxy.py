"""A bad network for tests: a TCP proxy on loopback that cuts, refuses, delays and falls silent when told.

with TcpProxy(("127.0.0.1", server.port)) as proxy:
    client = connect(proxy.port)
    proxy.silence("to_client")  # the server acts, and nobody hears of it
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

T = TypeVar("T")

Direction = Literal["to_server", "to_client"]
Directions = Literal["to_server", "to_client", "both"]
DIRECTIONS: Final[tuple[Direction, Direction]] = ("to_server", "to_client")

_CHUNK: Final = 1 << 16
_BEHIND: Final = 64
"""Chunks of a connection that wait, delayed or held back, before no more are read."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class _Connection:
    """A client, the server, and what is under way between them."""

    def __init__(self, proxy: TcpProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._ends = (client, server)

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Carry bytes until both sides have said that they are done, or one is gone."""
        to_client, to_server = self._ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry("to_server", client, to_server))
                tasks.create_task(self._carry("to_client", server, to_client))
        except* OSError:  # also "not connected": a reset that came a moment before our end of the stream
            self.reset()
        finally:
            for end in self._ends:
                end.close()

    def reset(self) -> None:
        """Both sides learn at once that the connection is gone."""
        for end in self._ends:
            with suppress(OSError):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.transport.abort()

    async def _carry(self, way: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_BEHIND)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(way, source, under_way))
            tasks.create_task(self._give(way, under_way, sink))

    async def _take(
        self, way: Direction, source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        data = b"?"
        while data:
            data = await source.read(_CHUNK)
            due = asyncio.get_running_loop().time() + self._proxy.delays[way]
            await under_way.put((due, data))

    async def _give(
        self, way: Direction, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await self._proxy.passing[way].wait()
            if not data:
                # The end is a message, too: while the line is silent nobody hears that the other side went away.
                sink.write_eof()
                return
            sink.write(data)
            await sink.drain()


class TcpProxy:
    """Between clients and a server; every fault lasts until `resume`. It runs in a thread of its own.

    Args:
        target: host and port of the server. It may be changed at any time: new connections go there.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.delays: dict[Direction, float] = dict.fromkeys(DIRECTIONS, 0.0)
        """Seconds that every byte is under way."""
        self.passing: dict[Direction, asyncio.Event] = {}
        """Whether bytes are handed on now."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def close(self) -> None:
        """Cut everything and end. May be called twice."""
        if self._loop.is_closed():
            return
        self._do(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- faults ---

    def cut(self) -> int:
        """Reset every connection that there is; new ones are taken. Returns how many it were."""
        return self._do(self._cut())

    def refuse(self) -> int:
        """Reset every connection and refuse new ones. Returns how many were reset."""
        return self._do(self._refuse())

    def silence(self, way: Directions = "both") -> None:
        """Hand nothing on, also not that somebody hung up: half-open connections. New ones are taken, too."""
        self._do(self._set_passing(way, False))

    def delay(self, seconds: float, way: Directions = "both") -> None:
        """Let every byte be under way for so long, in each direction."""
        self._do(self._set_delay(way, seconds))

    def resume(self) -> None:
        """No more faults: listen, hand on what was held back, without delay."""
        self._do(self._resume())

    @property
    def connections(self) -> int:
        """Connections through it now."""
        return self._do(self._count())

    # --- inside, on its own loop ---

    def _do(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result()

    async def _open(self) -> None:
        for way in DIRECTIONS:
            self.passing.setdefault(way, asyncio.Event()).set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1000)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, writer, to_server)
        self._connections.add(connection)
        try:
            await connection.run(reader, from_server)
        finally:
            self._connections.discard(connection)

    async def _cut(self) -> int:
        cut = list(self._connections)
        for connection in cut:
            connection.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return len(cut)

    async def _refuse(self) -> int:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        return await self._cut()

    async def _set_passing(self, ways: Directions, passing: bool) -> None:
        change: Callable[[asyncio.Event], None] = asyncio.Event.set if passing else asyncio.Event.clear
        for way in DIRECTIONS:
            if ways in (way, "both"):
                change(self.passing[way])

    async def _set_delay(self, ways: Directions, seconds: float) -> None:
        for way in DIRECTIONS:
            if ways in (way, "both"):
                self.delays[way] = seconds

    async def _resume(self) -> None:
        await self._set_delay("both", 0.0)
        await self._open()

    async def _count(self) -> int:
        return len(self._connections)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
