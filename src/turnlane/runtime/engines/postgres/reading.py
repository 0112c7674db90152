"""Reads: on connections of their own, tried again while the database is away, events for many readers at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from turnlane.runtime.conversation import TurnEvent
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres import rows
from turnlane.runtime.engines.postgres.connection import Connection, Link, explain, is_outage, pause_after
from turnlane.telemetry.outage import Outage

T = TypeVar("T")


class Reader:
    """Runs reads, each on the connection with the fewest before it.

    Args:
        patience: seconds that a read waits for a database that is away.
    """

    def __init__(self, url: str, outage: Outage, connections: int, patience: float) -> None:
        self._url = url
        self._patience = patience
        self._links = [Link(url, outage) for _ in range(connections)]
        self._load = [0] * connections
        self._closed: EngineUnavailable | None = None

    async def read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Raises: EngineUnavailable."""
        give_up_at = time.monotonic() + self._patience
        failures = 0
        while True:
            self._check_open()
            chosen = min(range(len(self._links)), key=self._load.__getitem__)
            self._load[chosen] += 1
            try:
                async with self._links[chosen].use() as connection:
                    self._check_open()
                    return await read(connection)
            except Exception as error:
                self._check_open()
                if not is_outage(error):
                    raise
                if time.monotonic() >= give_up_at:
                    raise explain(error, self._url) from error
            finally:
                self._load[chosen] -= 1
            failures += 1
            await asyncio.sleep(pause_after(failures))

    async def fetch(self, sql: str, *values: Any) -> Sequence[Mapping[str, Any]]:
        """Run one statement; its rows.

        Raises:
            EngineUnavailable
        """

        async def fetch(connection: Connection) -> Sequence[Mapping[str, Any]]:
            found: Sequence[Mapping[str, Any]] = await connection.fetch(sql, *values)
            return found

        return await self.read(fetch)

    async def close(self, reason: EngineUnavailable) -> None:
        self._closed = reason
        for link in self._links:
            link.drop()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise EngineUnavailable(str(self._closed))


class Pages:
    """Pages of events. Readers that ask while a query is under way are answered by the next one, all together."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: list[tuple[str, int, asyncio.Future[list[TurnEvent]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def read(self, turn_id: str, after: int) -> list[TurnEvent]:
        """The next events behind `after`; empty: there are no more.

        Raises:
            EngineUnavailable
        """
        page: asyncio.Future[list[TurnEvent]] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn_id, after, page))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._read_all())
        return await page

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                await self._read_once(asked)
        finally:
            self._task = None

    async def _read_once(self, asked: Sequence[tuple[str, int, asyncio.Future[list[TurnEvent]]]]) -> None:
        wanted = [(turn_id, after) for turn_id, after, _ in asked]
        try:
            pages = await self._reader.read(lambda connection: rows.read_pages(connection, wanted))
        except Exception as error:
            for _, _, page in asked:
                if not page.done():
                    page.set_exception(error)
                    page.exception()
            return
        for (_, _, page), events in zip(asked, pages, strict=True):
            if not page.done():
                page.set_result(events)


def on(read: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """`read` with the connection as its last argument: to be filled up with `partial`."""

    def with_connection(*arguments: Any) -> Awaitable[T]:
        *rest, connection = arguments
        return read(connection, *rest)

    return with_connection
