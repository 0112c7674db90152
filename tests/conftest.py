"""What all tests share: the asyncio backend, and no way out but loopback."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest


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


@pytest.fixture(autouse=True)
def _openai_as_it_comes() -> Iterator[None]:
    """Serving changes what `AsyncOpenAI` does in its process; the next test must find it unchanged."""
    yield
    adapter = sys.modules.get("turnlane.runtime.agents.openai_client")
    if adapter is not None:
        adapter.uninstall()
