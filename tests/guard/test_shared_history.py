"""TL202: one user's text in a list of the program and in another user's prompt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from tests.guard.conftest import Watched

from turnlane.guard import long_lived, requests, runs, shared_history
from turnlane.guard.requests import Request
from turnlane.practice import PracticeProvider, Rule

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
        request.notes["brought"] = [{"message": text, **keys}]
        key = {"key": keys["user_id"]} if hasattr(module, "KEYED") else {}
        prompt = list(module.turn(text, **key))
        shared_history.asked(json.dumps({"model": "m", "messages": prompt}).encode())


@pytest.mark.parametrize("word", ["zebra", "zażółć"])
def test_a_leak_that_begins_late(program: Any, watched: Watched, word: str) -> None:
    """After its first calls only a prompt that may hold a foreign text is looked at closely."""
    module = program(SHAPES["list"] + "def alone(text):\n    return [text]\n")
    shared, module.turn = module.turn, module.alone
    for number in range(shared_history.FIRST_CALLS + 10):
        ask(module, f"Where is my order {number}?", user_id=f"user-{number}")
    assert watched.hazards == []
    module.turn = shared
    for user in ("ann", "bob", "cleo"):
        ask(module, f"My secret word is {word} of {user}", user_id=user)
    assert watched.codes == {"TL202"}


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


def serve() -> Callable[[str], None]:
    """A handler with a history that it has from here."""
    history: list[str] = []

    def turn(text: str) -> None:
        history.append(text)
        shared_history.asked(json.dumps({"model": "m", "messages": history}).encode())

    return turn


def test_messages_that_a_function_has_captured(watched: Watched) -> None:
    turn = serve()
    for user in ("ann", "bob", "eve"):
        with of_user(user, f"My secret word is zebra of {user}"):
            turn(f"My secret word is zebra of {user}")
    assert watched.codes == {"TL202"}
    assert watched.hazard("TL202")["object"].endswith("history of serve()")


def test_messages_that_the_waiting_handler_has_captured(watched: Watched) -> None:
    """Some frameworks ask the model in a task of their own."""
    history: list[str] = []
    agent = Assistant()

    async def turn(text: str) -> None:
        history.append(text)
        await agent.run(list(history))

    for user in ("ann", "bob", "eve"):
        with of_user(user, f"My secret word is zebra of {user}"):
            asyncio.run(turn(f"My secret word is zebra of {user}"))
    assert watched.codes == {"TL202"}


class Assistant:
    """An agent that asks the model in a task."""

    async def run(self, messages: list[str]) -> None:
        run = runs.begin(self, "agent", "run", (), stateless=True)
        token = runs.set_current(run)

        async def ask_model(body: bytes) -> None:
            shared_history.asked(body)

        await asyncio.create_task(ask_model(json.dumps({"model": "m", "messages": messages}).encode()))
        runs.unset_current(token)
        assert run is not None
        runs.end(run, "ended")


def test_captured_messages_that_are_made_for_each_request(watched: Watched) -> None:
    """What they hold came from somewhere else: that is looked for."""

    def turn(messages: list[str]) -> None:
        def ask_model() -> None:
            shared_history.asked(json.dumps({"model": "m", "messages": messages}).encode())

        ask_model()

    said: list[str] = []
    for user in ("ann", "bob", "eve"):
        said.append(f"My secret word is zebra of {user}")
        with of_user(user, said[-1]):
            turn(list(said))
    assert watched.hazards == []


@contextlib.contextmanager
def of_user(user: str, text: str) -> Iterator[None]:
    """A request that brings a text."""
    with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})) as request:
        request.parent = None
        request.notes["brought"] = [{"message": text}]
        yield


def test_all_users_say_the_same(program: Any, watched: Watched) -> None:
    module = program(SHAPES["list"])
    for user in ("ann", "bob"):
        ask(module, "What can you do for me?", user_id=user)
    assert watched.hazards == []


def test_a_store_of_what_a_shared_agent_has_mixed(program: Any, watched: Watched) -> None:
    """The store is keyed; the agent it was said to is not."""
    module = program("said = {}\ndef keep(user, text):\n    said[user] = text\n")

    async def chat(base_url: str) -> None:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=base_url, api_key="practice")
        agent = AssistantAgent("support", client)
        for user in ("ann", "bob", "eve", "bob", "bob"):
            text = f"I am {user} and I have a question."
            with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})) as request:
                request.notes["brought"] = [{"message": text}]
                module.keep(user, text)
                await agent.run(task=text)
        await client.close()

    with PracticeProvider.in_thread([Rule(say="I see.")]) as provider:
        asyncio.run(chat(provider.base_url))
    assert watched.codes == {"TL201"}


def test_one_conversation(program: Any, watched: Watched) -> None:
    module = program(SHAPES["list"])
    for text in ("Where is my parcel of Monday?", "And that of Tuesday, please?"):
        ask(module, text, conversation_id="c-1")
    assert watched.hazards == []


CALLS_THE_MODEL = """
from autogen_core.models import UserMessage

history = []


async def turn(client, text):
    history.append(UserMessage(content=text, source="user"))
    return await client.create(history)
"""


def test_both_users_are_shown_where_the_program_asks(program: Any, watched: Watched) -> None:
    """The HTTP client is far below the program: of both calls the program's own line is what helps."""
    module = program(CALLS_THE_MODEL)

    async def talk(base_url: str) -> None:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=base_url, api_key="practice")
        for user, text in (
            ("ann", "Where is my parcel?"),
            ("bob", "Book a table, please."),
            ("eve", "Cancel that."),
        ):
            with requests.within(Request("asgi", "POST /chat", keys={"user_id": user})) as request:
                request.parent = None
                request.notes["brought"] = [{"message": text}]
                await module.turn(client, text)
        await client.close()

    with PracticeProvider.in_thread([Rule(say="Noted.")]) as provider:
        asyncio.run(talk(provider.base_url))
    stacks = watched.hazard("TL202")["stacks"]
    functions = [[frame["function"] for frame in stack["frames"]] for stack in stacks]
    assert all("turn" in names and "AsyncCompletions.create" not in names for names in functions), functions


def test_texts_of_anything() -> None:
    class Message:
        def __init__(self) -> None:
            self.content = [{"text": "deep"}]

    assert set(long_lived.texts([Message(), deque(["a"]), ("b", 3), b"no"])) == {"deep", "a", "b"}


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[Any] = ["x"]
    endless.append(endless)
    assert "x" in long_lived.joined(endless)


STANDING_FOR_OTHERS = """
from flask import g, request
class Lazy:
    asked = 0
    @property
    def __class__(self):
        Lazy.asked += 1
        return dict
    @property
    def __dict__(self):
        Lazy.asked += 1
        return {}
lazy = Lazy()
history = []
"""


def test_objects_that_stand_for_others_are_not_asked(program: Any) -> None:
    module = program(STANDING_FOR_OTHERS)
    long_lived.forget()
    names = [kept.name for kept in long_lived.containers() if kept.module == "shop"]
    assert names == ["shop.history"]
    assert module.Lazy.asked == 0


def test_a_store_of_many_conversations_is_not_gone_through() -> None:
    class Counted(dict[str, Any]):
        """A store that counts what is taken of it."""

        taken = 0

        def values(self) -> Any:
            return Values(self)

    class Values:
        def __init__(self, of: Counted) -> None:
            self.items = list(dict.values(of))

        def __reversed__(self) -> Any:
            for item in reversed(self.items):
                Counted.taken += 1
                yield item

    store = Counted((f"user-{number}", [f"question {number}"]) for number in range(10_000))
    assert long_lived.last_items(store)[-1] == ["question 9999"]
    assert Counted.taken <= long_lived.MAX_ITEMS + 1
