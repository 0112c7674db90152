"""What processes tell each other at once: there is work, a turn has ended, has new events, or is to stop.

Notices are sent from a connection of their own and many in one: a NOTIFY inside a transaction that stores turns
would let only one of them commit at a time. A notice may be lost with a connection; whoever needs it also looks by
itself, once a second (`leases`) and after reconnecting.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import Connection, connect, explain, is_outage, pause_after
from turnlane.telemetry.outage import Outage

CHANNEL: Final = "turnlane"

LONGEST: Final = 7_000
"""Bytes of one notice; PostgreSQL takes up to 8,000."""

Kind: TypeAlias = Literal["work", "ended", "events", "stop", "deleted"]
"""work: [agent, seconds until it may start]. ended, deleted: turn id. events: [turn id, floor, last number].
stop: [process, turn id, attempt, why]."""


class Notices:
    """Sends and hears. `hear(kind, values)` is called on the loop for what other processes tell.

    Args:
        connected: called after every (re)connection; what was told before may have been missed.
    """

    def __init__(
        self, url: str, outage: Outage, hear: Callable[[Kind, list[Any]], None], connected: Callable[[], None]
    ) -> None:
        self._url = url
        self._outage = outage
        self._hear = hear
        self._connected = connected
        self._sender = ""
        self._connection: Connection | None = None
        self._waiting: dict[Kind, list[Any]] = defaultdict(list)
        self._raw: list[tuple[str, str]] = []
        self._wake = asyncio.Event()
        self._broken = asyncio.Event()
        self._channels: dict[str, list[Callable[[str], None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, sender: int) -> None:
        """Connect and begin to hear; `sender` is this process's number.

        Raises:
            asyncpg's errors, OSError, TimeoutError
        """
        self._sender = str(sender)
        self._channels.setdefault(CHANNEL, []).append(self._received)
        await self._connect()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._keep_connected(), name="turnlane postgres listener"),
            loop.create_task(self._send_all(), name="turnlane postgres notices"),
        ]

    async def close(self, *, goodbye: bool = True) -> None:
        if goodbye and (self._waiting or self._raw) and self._connection is not None:
            with suppress(Exception):
                async with asyncio.timeout(1):
                    await self._flush(self._connection)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def tell(self, kind: Kind, value: Any) -> None:
        """Tell all other processes, soon."""
        self._waiting[kind].append(value)
        self._wake.set()

    # --- for the limits that workers share ---

    def notify(self, channel: str, payload: str) -> None:
        """Tell all who subscribed to `channel`, soon.

        Raises:
            EngineUnavailable: there is no connection.
        """
        if self._connection is None:
            raise EngineUnavailable(self._outage.reason or "PostgreSQL can't be reached: nobody was told")
        self._raw.append((channel, payload))
        self._wake.set()

    async def subscribe(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call `callback(payload)` for what is told on `channel`, also after reconnecting."""
        known = channel in self._channels
        self._channels.setdefault(channel, []).append(callback)
        if not known and self._connection is not None:
            with suppress(Exception):
                await self._connection.add_listener(channel, self._dispatch)

    def unsubscribe(self, channel: str, callback: Callable[[str], None]) -> None:
        with suppress(ValueError):
            self._channels.get(channel, []).remove(callback)

    # --- inside ---

    async def _connect(self) -> None:
        connection = await connect(self._url)
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._dispatch)
        except BaseException:
            connection.terminate()
            raise
        self._broken.clear()
        connection.add_termination_listener(self._lost)
        self._connection = connection
        self._connected()

    def _lost(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._broken.set()

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            await self._broken.wait()
            try:
                await self._connect()
            except Exception as error:
                failures += 1
                self._outage.failed(str(explain(error, self._url)))
                await asyncio.sleep(pause_after(failures))
            else:
                failures = 0
                self._wake.set()

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            connection = self._connection
            if connection is None:
                # They would come too late: after reconnecting everybody looks by himself.
                self._waiting.clear()
                self._raw.clear()
                continue
            try:
                await self._flush(connection)
            except Exception as error:
                if not is_outage(error):
                    asyncio.get_running_loop().call_exception_handler(
                        {"message": "turnlane's notices of PostgreSQL failed", "exception": error}
                    )
                connection.terminate()

    async def _flush(self, connection: Connection) -> None:
        waiting, self._waiting = self._waiting, defaultdict(list)
        raw, self._raw = self._raw, []
        payloads = [(CHANNEL, payload) for payload in self._payloads(waiting)] + raw
        if payloads:
            await connection.execute(
                "SELECT pg_notify(c, p) FROM unnest($1::text[], $2::text[]) AS a (c, p)",
                [channel for channel, _ in payloads],
                [payload for _, payload in payloads],
            )

    def _payloads(self, waiting: dict[Kind, list[Any]]) -> Iterator[str]:
        for kind, values in waiting.items():
            part: list[str] = []
            size = 0
            for value in dict.fromkeys(json.dumps(value, separators=(",", ":")) for value in values):
                if size + len(value) > LONGEST:
                    yield self._payload(kind, part)
                    part, size = [], 0
                part.append(value)
                size += len(value) + 1
            yield self._payload(kind, part)

    def _payload(self, kind: Kind, part: list[str]) -> str:
        return f"{self._sender} {kind} [{','.join(part)}]"

    def _dispatch(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        for callback in list(self._channels.get(channel, ())):
            callback(str(payload))

    def _received(self, payload: str) -> None:
        sender, kind, values = payload.split(" ", 2)
        if sender != self._sender:
            self._hear(kind, json.loads(values))  # type: ignore[arg-type]


class LimitsSql:
    """What the limits that workers share need of the engine (`shared_limits.Sql`)."""

    def __init__(self, notices: Notices, fetch: Callable[..., Any]) -> None:
        self._notices = notices
        self.fetch = fetch

    async def notify(self, channel: str, payload: str) -> None:
        self._notices.notify(channel, payload)

    def subscribe(self, channel: str, callback: Callable[[str], None]) -> Callable[[], None]:
        task = asyncio.get_running_loop().create_task(self._notices.subscribe(channel, callback))
        task.add_done_callback(lambda _: None)
        return partial(self._notices.unsubscribe, channel, callback)
