"""Whose request the code of an ASGI application belongs to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from tests.guard.asgi_calls import call, scope
from tests.guard.conftest import Watched
from tests.guard.hosts.present import active, in_request

from turnlane.guard import journals, requests
from turnlane.guard.hosts import asgi
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("watched")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class App:
    """An application that remembers in whose request each of its parts ran."""

    def __init__(self) -> None:
        self.seen: list[Request | None] = []
        routes = [
            Route("/chat/{conversation_id}", self.chat, methods=["POST"]),
            Route("/stream", self.stream, methods=["POST"]),
            Route("/fails", self.fails, methods=["POST"]),
            WebSocketRoute("/ws", self.socket),
        ]
        self.app = Starlette(routes=[*routes, Mount("/inner", routes=routes)])

    def note(self) -> None:
        self.seen.append(requests.current.get())

    async def chat(self, request: HttpRequest) -> JSONResponse:
        await request.body()
        self.note()
        return JSONResponse({}, background=BackgroundTask(self.note))

    async def stream(self, request: HttpRequest) -> StreamingResponse:
        async def pieces() -> Any:
            self.note()
            yield "piece"

        return StreamingResponse(pieces())

    async def fails(self, request: HttpRequest) -> JSONResponse:
        raise KeyError("gone")

    async def socket(self, socket: Any) -> None:
        await socket.accept()
        await socket.receive_text()
        self.note()
        await socket.close()

    @property
    def one(self) -> Request:
        (found,) = {request for request in self.seen if request is not None}
        return found


async def test_path_query_body_headers_and_cookies_say_whose_it_is() -> None:
    app = App()
    headers = {"x-request-id": "R-7", "x-tenant-id": "acme", "cookie": "theme=dark; chat_id=c-9"}
    body = {"message": "hi", "user": {"id": "ann"}}
    await call(app.app, "/chat/c-1", body=body, headers=headers, query="room=blue&page=2", pieces=3)
    request = app.one
    assert request.id == "R-7"
    assert request.keys == {
        "conversation_id": "c-1",
        "room": "blue",
        "user_id": "ann",
        "x_tenant_id": "acme",
        "chat_id": "c-9",
    }


async def test_a_credential_is_never_kept() -> None:
    app = App()
    await call(app.app, "/chat/c-1", headers={"authorization": "Bearer sk-12345678", "cookie": "session=s3cr3t"})
    assert "sk-12345678" not in str(app.one.keys)
    assert "s3cr3t" not in str(app.one.keys)
    assert {"authorization", "session"} < set(app.one.keys)


async def test_a_background_task_belongs_to_the_request_which_ends_after_it() -> None:
    app = App()
    await call(app.app, "/chat/c-1")
    assert len(app.seen) == 2
    assert app.one.ended
    assert app.one.status == 200
    assert active() == []
    assert not in_request()


async def test_a_request_that_was_cancelled_has_no_status() -> None:
    seen: asyncio.Future[Request | None] = asyncio.get_running_loop().create_future()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        seen.set_result(requests.current.get())
        await asyncio.Event().wait()

    task = asyncio.create_task(call(asgi.served(waits), "/chat"))
    request = await seen
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert request is not None
    assert (request.ended, request.status) == (True, None)


async def test_a_streams_pieces_belong_to_the_request() -> None:
    app = App()
    await call(app.app, "/stream")
    assert app.one.name == "POST /stream"


async def test_an_inner_application_is_part_of_the_same_request() -> None:
    app = App()
    await call(asgi.served(app.app), "/inner/chat/c-1")
    assert app.one.parent is None


async def test_a_server_begins_a_request_of_its_own_wherever_its_task_came_from() -> None:
    app = App()
    with requests.within(Request("asgi", "the one before, on this connection")):
        await asyncio.create_task(call(asgi.served(app.app), "/chat/c-1"))
    assert app.one.parent is None


async def test_a_program_that_calls_itself_has_one_request_in_the_other() -> None:
    app = App()
    with requests.within(Request("asgi", "outer")) as outer:
        await call(app.app, "/chat/c-1")
    assert app.one.parent is outer


async def test_requests_at_once_are_told_apart() -> None:
    app = App()
    await asyncio.gather(*(call(app.app, f"/chat/c-{number}") for number in range(20)))
    keys = [request.keys["conversation_id"] for request in app.seen if request is not None]
    assert sorted(keys) == sorted([f"c-{number}" for number in range(20)] * 2)


async def test_a_websocket_is_one_request_and_its_messages_say_whose() -> None:
    app = App()
    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"session_id": "s1", "text": "hi"}'},
    ]
    sent = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app.app({**scope("/ws"), "type": "websocket", "subprotocols": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert set(app.one.keys) == {"session_id"}


async def test_the_record_of_a_request(watched: Watched) -> None:
    assert journals.journal is not None
    object.__setattr__(journals.journal.settings, "requests", True)
    with pytest.raises(KeyError):
        await call(App().app, "/fails", headers={"x-request-id": "R1"}, query="key=secret")
    (record,) = watched.of_kind("request")
    assert record["seconds"] >= 0
    expected = {"request": "R1", "status": 500, "method": "POST", "path": "/fails", "error": "KeyError"}
    assert {name: record[name] for name in expected} == expected
    assert "secret" not in str(record)


async def test_a_run_of_the_context_that_a_server_was_started_in_is_not_its_requests() -> None:
    from turnlane.guard import runs

    seen: list[Run | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(runs.current.get())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    token = runs.current.set(object())  # type: ignore[arg-type]
    await asyncio.create_task(call(asgi.served(app), "/"))
    runs.current.reset(token)
    assert seen == [None]
