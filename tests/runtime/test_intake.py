"""Which requests come out of this very process (TL402)."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from turnlane.runtime.intake import is_own_socket

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the own end is found through /proc: Linux only"
)


@linux
def test_a_socket_of_this_process_is_its_own() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, peer = server.accept()
        with accepted:
            assert peer == client.getsockname()
            assert is_own_socket(peer)
            assert is_own_socket(peer, server.getsockname()[1])


@linux
def test_a_socket_of_this_process_towards_another_server_is_not_meant() -> None:
    """Its port may be that of somebody's client too: only both ends together name a connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as provider,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(provider.getsockname()) as model_call,
    ):
        assert not is_own_socket(model_call.getsockname(), server.getsockname()[1])


@linux
def test_a_socket_of_another_process_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket, sys; s = socket.create_connection(('127.0.0.1', {port})); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as other:
            accepted, peer = server.accept()
            with accepted:
                assert not is_own_socket(peer)
            assert other.stdin is not None
            other.stdin.close()


def test_a_distant_peer_is_never_looked_up() -> None:
    assert not is_own_socket(("192.0.2.1", 443))
