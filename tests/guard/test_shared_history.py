"""TL202: one user's text in a list of the program and in another user's prompt."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from tests.guard.conftest import Watched

from turnlane.guard import long_lived, requests, shared_history
from turnlane.guard.requests import Request

SHAPES = {
    "list": (
        "history = []\n"
        "def turn(text):\n    history.append({'role': 'user', 'content': text})\n    return history\n"
    ),
    "deque": (
        "from collections import deque\nhistory = deque(maxlen=20)\n"
        "def turn(text):\n    history.append(text)\n    return ['\\n'.join(history)]\n"
    ),
    "class": (
        "class Service:\n    history = []\n    def turn(self, text):\n        self.history += [text]\n"
        "        return self.history\ndef turn(text):\n    return Service().turn(text)\n"
    ),
    "object": (
        "class Memory:\n    def __init__(self):\n        self.messages = []\nmemory = Memory()\n"
        "def turn(text):\n    memory.messages.append(('user', text))\n    return memory.messages\n"
    ),
    "default": "def turn(text, history=[]):\n    history.append(text)\n    return history\n",
    "state": (
        "from starlette.applications import Starlette\napp = Starlette()\napp.state.messages = []\n"
        "def turn(text):\n    app.state.messages.append(text)\n    return app.state.messages\n"
    ),
}


@pytest.fixture
def program(tmp_path: Any) -> Iterator[Any]:
    """Makes a module of the user's from its text."""

    def made(text: str) -> ModuleType:
        path = tmp_path / "shop.py"
        path.write_text(text)
        module = ModuleType("shop")
        module.__file__ = str(path)
        sys.modules["shop"] = module
        exec(compile(text, str(path), "exec"), vars(module))
        return module

    yield made
    sys.modules.pop("shop", None)


def ask(module: Any, text: str, **keys: str) -> None:
    """One request with its model call."""
    with requests.within(Request("asgi", "POST /chat", keys=keys)) as request:
        request.parent = None
        request.body = json.dumps({"message": text, **keys}).encode()
        key = {"key": keys["user_id"]} if hasattr(module, "KEYED") else {}
        prompt = list(module.turn(text, **key))
        shared_history.asked(json.dumps({"model": "m", "messages": prompt}).encode())


@pytest.mark.parametrize("shape", SHAPES)
def test_everybodys_messages(shape: str, program: Any, watched: Watched) -> None:
    module = program(SHAPES[shape])
    ask(module, "Where is my parcel of Monday?", user_id="ann")
    assert watched.hazards == []
    ask(module, "Please book a table for two.", user_id="bob")
    ask(module, "Please cancel what I have booked.", user_id="eve")
    hazard = watched.hazard("TL202")
    assert hazard["object"].removeprefix("a default of ").startswith("shop.")
    assert len(hazard["requests"]) == 2


RIGHT = {
    "keyed": (
        "KEYED = 'key'\nfrom collections import defaultdict\nhistories = defaultdict(list)\n"
        "def turn(text, key):\n    histories[key].append(text)\n    return histories[key]\n"
    ),
    "log": "log = []\ndef turn(text):\n    log.append(text)\n    return [text]\n",
    "constant": "EXAMPLES = ['Where is my parcel of Monday?']\ndef turn(text):\n    return [*EXAMPLES, text]\n",
}


@pytest.mark.parametrize("shape", RIGHT)
def test_stores_that_mix_nobody(shape: str, program: Any, watched: Watched) -> None:
    module = program(RIGHT[shape])
    for _ in range(2):
        for user in ("ann", "bob", "eve"):
            ask(module, f"I am {user} and I have a question.", user_id=user)
    assert watched.hazards == []


def test_all_users_say_the_same(program: Any, watched: Watched) -> None:
    module = program(SHAPES["list"])
    for user in ("ann", "bob"):
        ask(module, "What can you do for me?", user_id=user)
    assert watched.hazards == []


def test_one_conversation(program: Any, watched: Watched) -> None:
    module = program(SHAPES["list"])
    for text in ("Where is my parcel of Monday?", "And that of Tuesday, please?"):
        ask(module, text, conversation_id="c-1")
    assert watched.hazards == []


def test_texts_of_anything() -> None:
    class Message:
        def __init__(self) -> None:
            self.content = [{"text": "deep"}]

    assert set(long_lived.texts([Message(), deque(["a"]), ("b", 3), b"no"])) == {"deep", "a", "b"}


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[Any] = ["x"]
    endless.append(endless)
    assert "x" in long_lived.joined(endless)
