"""TL504: who reads the terminal in a server."""

from __future__ import annotations

import asyncio
import builtins
import io
import sys
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane import guard
from turnlane.guard import requests
from turnlane.guard.requests import Request


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines on the terminal; to be asked for before the guard."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\nthree\n")))


@pytest.fixture
def at_a_terminal(typed: None, watched: Watched) -> Watched:
    return watched


def test_input_in_a_request(at_a_terminal: Watched) -> None:
    with requests.within(Request("asgi", "POST /chat", id="R1")):
        assert input("Enter your response: ") == "one"
    hazard = at_a_terminal.hazard("TL504")
    assert (hazard["request"], hazard["place"]["file"]) == ("R1", __file__)
    assert "Enter your response:" in hazard["message"]


@pytest.mark.anyio
async def test_input_in_a_thread_of_a_request(at_a_terminal: Watched) -> None:
    with requests.within(Request("asgi", "POST /chat")):
        assert await asyncio.to_thread(input, "? ") == "one"
    assert at_a_terminal.codes == {"TL504"}


@pytest.mark.parametrize("read", [lambda: sys.stdin.readline(), lambda: sys.stdin.read()])
def test_stdin_itself(read: Any, at_a_terminal: Watched) -> None:
    with requests.within(Request("flask", "POST /chat")):
        assert read().startswith("one")
    assert at_a_terminal.hazard("TL504")["message"].startswith("POST /chat waits in sys.stdin.read")


@pytest.mark.parametrize("host", [None, "ipython", "pytest"])
def test_scripts_notebooks_and_tests_may_ask(host: str | None, at_a_terminal: Watched) -> None:
    if host is None:
        assert input() == "one"
    else:
        with requests.within(Request(host, "cell [1]")):
            assert input() == "one"
    assert at_a_terminal.hazards == []


def test_a_function_of_ones_own_asks_nobody_here(at_a_terminal: Watched) -> None:
    with requests.within(Request("asgi", "POST /chat")):
        assert (lambda prompt: "from the web socket")("? ") == "from the web socket"
    assert at_a_terminal.hazards == []


def test_strict_raises_before_it_waits(typed: None) -> None:
    guard.install(strict=True, output="/dev/null", summary=False)
    try:
        with requests.within(Request("asgi", "POST /chat")), pytest.raises(guard.HazardError) as raised:
            input()
    finally:
        guard.uninstall()
    assert raised.value.code == "TL504"
    assert builtins.input() == "one"
