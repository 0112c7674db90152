from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from typing import TypeAlias

import anyio
import pytest

from turnlane.runtime.engines.postgres import connection, engine, schema
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.tcp_proxy import TcpProxy

Opener: TypeAlias = Callable[[str], Awaitable[PostgresEngine]]

LEASE = 2.0
READY = "turnlane_ready"


@contextmanager
def running(**settings: str | int) -> Iterator[PostgresServer]:
    """A server with Turnlane's schema in a template."""
    with PostgresServer(fsync=False, settings=settings) as server:
        with ThreadPoolExecutor(1) as thread:  # tests call this from inside a loop
            thread.submit(server.template, READY, lambda url: anyio.run(schema.migrate, url)).result()
        yield server


@pytest.fixture(scope="module")
def server_of_this_file() -> Iterator[PostgresServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(server_of_this_file: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may hurt."""
    settings = dict(server_of_this_file.settings)
    yield server_of_this_file
    server_of_this_file.resume()
    if server_of_this_file.settings != settings:
        server_of_this_file.settings = settings
        server_of_this_file.kill()
    if server_of_this_file.pid is None:
        server_of_this_file.start()


@pytest.fixture
def database(server: PostgresServer) -> str:
    """The name of a fresh database with the schema in it."""
    return server.create_database(template=READY)


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence of a second counts as an outage, so that the tests need not wait for ten."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT", 1.0)
    monkeypatch.setattr(engine, "PATIENCE", 0.5)


@pytest.fixture
async def open_engine() -> AsyncIterator[Opener]:
    """Opens engines, and closes them at the end."""
    async with AsyncExitStack() as stack:

        async def open_it(url: str) -> PostgresEngine:
            engine = PostgresEngine(url, lease=LEASE)
            stack.push_async_callback(engine.close)
            await engine.open()
            return engine

        yield open_it
