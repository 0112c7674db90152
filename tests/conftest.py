"""What all tests share: the asyncio backend, and no way out but loopback."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from turnlane.testing.pooler import Pooler, PoolMode
    from turnlane.testing.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _no_proxies_and_no_key() -> Iterator[None]:
    """A developer's own proxy or key must not change what a test does."""
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "TURNLANE_")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails at once, and says where it wanted to go."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise AssertionError(f"a test tried to reach {address}: tests use loopback only")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True, scope="module")
def _no_garbage_of_other_modules() -> None:
    """A client of the openai package that was dropped without a close begins to close itself in whatever loop runs
    when it is collected (hazard TL302), and fails a test that has nothing to do with it. What is left is
    frozen, so the next collection has little to look at."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _openai_as_it_comes() -> Iterator[None]:
    """Serving changes what `AsyncOpenAI` does in its process; the next test must find it unchanged."""
    yield
    adapter = sys.modules.get("turnlane.runtime.agents.openai_client")
    if adapter is not None:
        adapter.uninstall()


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[int], PostgresServer]]:
    """Gives the running server of a major version, one in each test process; for tests that do it no harm.

    A version that is not here skips the test and says how to get it. Without fsync: a kill of any process
    loses nothing without it, and no test here cuts the machine's power.
    """
    from turnlane.testing.postgres_server import PostgresMissing, PostgresServer

    running: dict[int, PostgresServer] = {}
    with ExitStack() as stack:

        def server(version: int) -> PostgresServer:
            if version not in running:
                try:
                    running[version] = stack.enter_context(PostgresServer(version, fsync=False))
                except PostgresMissing as missing:
                    pytest.skip(str(missing))
            return running[version]

        yield server


@pytest.fixture
def postgres_server(
    request: pytest.FixtureRequest, postgres_servers: Callable[[int], PostgresServer]
) -> PostgresServer:
    """The running server, of the newest version or of the one that an indirect parameter names."""
    from turnlane.testing.postgres_server import NEWEST

    return postgres_servers(getattr(request, "param", NEWEST))


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database of `postgres_server` with nothing in it."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def open_pooler() -> Iterator[Callable[[PostgresServer, PoolMode], Pooler]]:
    """Puts a pgbouncer in front of a server; where there is none, the test is skipped and says how to get it."""
    from turnlane.testing.pooler import Pooler, PoolerMissing

    with ExitStack() as stack:

        def open_it(server: PostgresServer, mode: PoolMode) -> Pooler:
            try:
                return stack.enter_context(Pooler(server, mode))
            except PoolerMissing as missing:
                pytest.skip(str(missing))

        yield open_it


@pytest.fixture
def postgres_ready_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database of `postgres_server` with Turnlane's schema in it."""
    import asyncio

    from turnlane.runtime.engines.postgres import schema

    template = postgres_server.template("turnlane_ready", lambda url: asyncio.run(schema.migrate(url)))
    name = postgres_server.create_database(template=template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)
