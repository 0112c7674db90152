"""What a program's own description says of how to talk to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from turnlane.probe.openapi import chat_operation, paths_of, takes_form

fastapi = pytest.importorskip("fastapi")


class Message(BaseModel):
    role: str
    content: str


class Body(BaseModel):
    message: str
    session_id: str
    user: str | None = None
    temperature: float = 0.2
    tone: Literal["kind", "curt"]


class Log(BaseModel):
    messages: list[Message]


def described(**routes: Any) -> dict[str, Any]:
    app = fastapi.FastAPI()
    for name, handler in routes.items():
        method, _, path = name.partition("__")
        app.add_api_route("/" + path, handler, methods=[method.upper()])
    document: dict[str, Any] = app.openapi()
    return document


def test_the_route_that_takes_a_message_is_found() -> None:
    def chat(body: Body) -> None: ...
    def health() -> None: ...
    def feedback(stars: int) -> None: ...

    found = chat_operation(described(get__health=health, post__feedback=feedback, post__chat=chat))
    assert found is not None
    assert (found.method, found.url) == ("POST", "/chat")
    assert found.json == {
        "message": "{prompt}",
        "session_id": "{conversation}",
        "user": "{user}",
        "tone": "kind",
    }


def test_a_history_is_sent_whole() -> None:
    def chat(body: Log) -> None: ...

    found = chat_operation(described(post__chat=chat))
    assert found is not None
    assert found.json == {"messages": "{messages}"}


def test_paths_and_queries_hold_values_too() -> None:
    def ask(thread_id: str, q: Annotated[str, "said"]) -> None: ...

    app = fastapi.FastAPI()
    app.add_api_route("/threads/{thread_id}/ask", ask, methods=["GET"])
    found = chat_operation(app.openapi())
    assert found is not None
    assert (found.method, found.url, found.json) == ("GET", "/threads/{conversation}/ask?q={prompt}", None)


def test_a_program_without_such_a_route_has_none() -> None:
    def health() -> None: ...

    assert chat_operation(described(get__health=health)) is None
    assert chat_operation({}) is None


def test_what_is_offered_are_methods_and_nothing_else_of_a_path() -> None:
    paths = {"/chat": {"post": {}, "parameters": [], "summary": "Talk"}, "/none": None}
    assert paths_of({"paths": paths}) == ["POST /chat"]
    assert paths_of({"paths": ["/chat"]}) == []


def test_a_parameter_may_be_described_elsewhere() -> None:
    parameter = {"name": "q", "in": "query"}
    document = {
        "paths": {"/ask": {"get": {"parameters": [{"$ref": "#/components/parameters/Question"}]}}},
        "components": {"parameters": {"Question": parameter}},
    }
    found = chat_operation(document)
    assert found is not None
    assert found.url == "/ask?q={prompt}"


def test_a_form_is_no_json() -> None:
    async def form(message: Annotated[str, fastapi.Form()]) -> str:
        return message

    async def body(body: Body) -> str:
        return body.message

    document = described(post__form=form, post__body=body)
    assert takes_form(document, "/form")
    assert not takes_form(document, "/body")
    assert not takes_form(document, "/elsewhere")
