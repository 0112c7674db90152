"""What a handler is called with, what its answer becomes, and which names can be hosted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from turnlane.probe.field_names import meaning
from turnlane.probe.handler_call import CannotCall, answer_json, arguments, whole
from turnlane.probe.host import CannotHost, application, is_asgi, is_wsgi, loaded

SAID = {"prompt": "Hi", "conversation": "c1", "user": "u1"}


class Body(BaseModel):
    text: str
    thread_id: str
    limit: int = 3


@dataclass
class Plain:
    question: str
    userId: str


class Typed(TypedDict):
    message: str


class Service:
    async def __call__(self, query: str) -> str:
        return query


async def nothing_known(x: str, session: str) -> None: ...
async def several(history: list[Any], input: str, chat_id: str, username: str = "") -> None: ...
async def a_body(body: Body) -> None: ...
async def annotated(payload: Annotated[Plain | None, "sent"]) -> None: ...
async def a_mapping(data: dict[str, str]) -> None: ...
async def typed(event: Typed) -> None: ...
async def defaults(message: str, temperature: float = 0.1, *rest: str, **more: str) -> None: ...
async def positional(prompt: str, /, user_id: str) -> None: ...


@pytest.mark.parametrize(
    ("handler", "args", "named"),
    [
        (nothing_known, [], {"x": "Hi", "session": "c1"}),
        (
            several,
            [],
            {"history": [{"role": "user", "content": "Hi"}], "input": "Hi", "chat_id": "c1", "username": "u1"},
        ),
        (a_body, [], {"body": Body(text="Hi", thread_id="c1")}),
        (annotated, [], {"payload": Plain(question="Hi", userId="u1")}),
        (defaults, [], {"message": "Hi"}),
        (positional, ["Hi"], {"user_id": "u1"}),
        (Service(), [], {"query": "Hi"}),
    ],
)
def test_parameters_by_name_and_type(handler: Callable[..., Any], args: list[str], named: dict[str, Any]) -> None:
    assert arguments(handler, SAID) == (args, named)


@pytest.mark.parametrize(("handler", "name"), [(a_mapping, "data"), (typed, "event")])
def test_a_mapping_holds_all_usual_names(handler: Callable[..., Any], name: str) -> None:
    _, named = arguments(handler, SAID)
    assert named[name]["message"] == named[name]["prompt"] == "Hi"
    assert named[name]["session_id"] == "c1"


def test_what_nothing_fits_is_told() -> None:
    async def chat(message: str, database: object) -> None: ...

    with pytest.raises(CannotCall, match="'database'"):
        arguments(chat, SAID)


class Strict(BaseModel):
    text: str
    temperature: float


@dataclass
class Bare:
    question: str
    temperature: float


async def a_strict_body(body: Strict) -> None: ...
async def a_bare_one(body: Bare) -> None: ...


@pytest.mark.parametrize(("handler", "name"), [(a_strict_body, "Strict"), (a_bare_one, "Bare")])
def test_a_body_with_a_field_that_nothing_fits_is_told(handler: Callable[..., Any], name: str) -> None:
    with pytest.raises(CannotCall, match=f"^{name} cannot be filled by a simulated user: .*temperature"):
        arguments(handler, SAID)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("message", "prompt"),
        ("userMessage", "prompt"),
        ("user_input", "prompt"),
        ("q", "prompt"),
        ("message_id", None),
        ("conversationId", "conversation"),
        ("session", "conversation"),
        ("chat-id", "conversation"),
        ("chat_message", "prompt"),
        ("customer_no", "user"),
        ("username", "user"),
        ("messages", "messages"),
        ("temperature", None),
        ("model", None),
    ],
)
def test_what_names_mean(name: str, says: str | None) -> None:
    assert meaning(name) == says


async def pieces() -> AsyncIterator[str]:
    yield "Hel"
    yield "lo"


def plain_pieces() -> Iterator[str]:
    yield from ("Hel", "lo")


async def awaited() -> str:
    return "Hello"


@pytest.mark.anyio
@pytest.mark.parametrize("make", [pieces, plain_pieces, awaited, lambda: "Hello"])
async def test_answers_in_pieces_are_put_together(make: Callable[[], object]) -> None:
    assert await whole(make()) == "Hello"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("Hello", {"answer": "Hello"}),
        ({"reply": "Hello"}, {"reply": "Hello"}),
        (None, {"answer": None}),
        (Body(text="a", thread_id="b"), {"text": "a", "thread_id": "b", "limit": 3}),
        (SimpleNamespace(messages=[SimpleNamespace(content="Hello")]), {"answer": "Hello"}),
        (SimpleNamespace(summary="Hello"), {"answer": "Hello"}),
        (Plain("Hi", "u"), {"question": "Hi", "userId": "u"}),
        ({"score": float("nan")}, {"answer": "{'score': nan}"}),
    ],
)
def test_answers_as_json(answer: object, shown: object) -> None:
    assert answer_json(answer) == shown


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...
def wsgi(environ: Any, start_response: Any) -> list[bytes]: ...


def test_apps_are_told_from_handlers() -> None:
    assert is_asgi(asgi)
    assert is_asgi(application(awaited))
    assert is_wsgi(wsgi)
    assert not is_asgi(a_body)
    assert not is_wsgi(Service)


def test_what_cannot_be_called_is_told() -> None:
    with pytest.raises(CannotHost, match="SimpleNamespace cannot be called"):
        application(SimpleNamespace())


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("shop_of_test:nothing", "shop_of_test has no 'nothing'; it has chat"),
        ("no_such_module_of_test:chat", "There is no module 'no_such_module_of_test'"),
        ("shop_of_test.gone:chat", "There is no module 'shop_of_test.gone'"),
        ("gone.py:chat", "There is no file gone.py"),
        ("needy_of_test:chat", "needs the package 'no_such_package', which is not installed"),
        ("app.py", "names no handler"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(
    target: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_test.py").write_text("def chat(message): return message\n")
    (tmp_path / "needy_of_test.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    with pytest.raises(CannotHost, match=sentence):
        loaded(target)
    assert loaded("shop_of_test:chat")("Hi") == "Hi"
    assert loaded(f"{tmp_path / 'shop_of_test.py'}:chat")("Hi") == "Hi"
