"""Each hazard in two halves: the bare framework, which does the wrong thing, and the served agent, which does not.

Both talk to the practice provider over real HTTP. The bare half runs without any of Turnlane's changes to the
`openai` package; the served half is a whole server on a free port.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.cli.assembly import RunningServer, running
from turnlane.practice import PracticeProvider, RecordedRequest
from turnlane.runtime.app import App
from turnlane.runtime.settings import ServeSettings
from turnlane.telemetry.events import add_sink

SERVED_WITHIN = 40.0
"""Seconds after which a served half is given up, so that a hang is a failed test."""


@pytest.fixture(autouse=True)
def nothing_left_of_earlier_tests() -> None:
    """Collects what earlier tests dropped while no loop runs.

    A client of the `openai` package that was dropped without `close()` closes itself in whatever loop runs when it
    is collected (TL302): later, that would be a loop of one of these tests.
    """
    gc.collect()


@pytest.fixture
def provider() -> Iterator[PracticeProvider]:
    with PracticeProvider.in_thread(lambda request: f"heard: {request.user_message}") as provider:
        yield provider


@pytest.fixture
async def model(
    provider: PracticeProvider, anyio_backend: str
) -> AsyncIterator[Callable[..., OpenAIChatCompletionClient]]:
    """Makes model clients as users do. What is made in a control is closed at the end."""
    made: list[OpenAIChatCompletionClient] = []

    def make(**options: Any) -> OpenAIChatCompletionClient:
        settings = {"model": "gpt-4o-mini", "base_url": provider.base_url, "api_key": "practice", **options}
        client = OpenAIChatCompletionClient(**settings)
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@dataclass
class Served:
    """A server and a plain HTTP client for it."""

    server: RunningServer
    http: httpx2.AsyncClient

    async def post(self, text: str, *, agent: str | None = None, **more: Any) -> httpx2.Response:
        name = agent or next(iter(self.server.app.agents))
        return await self.http.post("/v1/responses", json={"model": name, "input": text, **more})

    async def ask(self, text: str, **more: Any) -> dict[str, Any]:
        """The response object of a turn that is expected to succeed."""
        answer = await self.post(text, **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def fail(self, text: str, **more: Any) -> dict[str, Any]:
        """The error object of a turn that is expected to fail, with its HTTP status as `status`."""
        answer = await self.post(text, **more)
        assert answer.status_code >= 400, answer.text
        return {**answer.json()["error"], "status": answer.status_code}

    async def conversation(self) -> str:
        answer = await self.http.post("/v1/conversations", json={})
        return str(answer.json()["id"])

    async def ended(self, response_id: str) -> dict[str, Any]:
        turn = await self.server.engine.wait(response_id, timeout=20)
        assert turn is not None
        assert turn.ended
        return dict((await self.http.get(f"/v1/responses/{response_id}")).json())


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """`async with serve(factory, deadline=1) as served`: settings are those of `AgentSettings`."""

    @asynccontextmanager
    async def serve(*factories: Callable[..., Any], **settings: Any) -> AsyncIterator[Served]:
        app = App()
        for factory in factories:
            app.add(factory, **settings)
        serving = ServeSettings(port=0, data=tmp_path / "data", loop_watch=0)
        async with (
            asyncio.timeout(SERVED_WITHIN),
            running(app, serving) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=30.0) as http,
        ):
            yield Served(server, http)

    return serve


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What telemetry was told: what the log shows."""
    seen: list[tuple[str, dict[str, Any]]] = []
    remove = add_sink(lambda name, fields: seen.append((name, dict(fields))))
    yield seen
    remove()


@dataclass
class KeepAliveProvider:
    """Answers every chat request alike, and tells which connection each came by."""

    base_url: str = ""
    connections: list[int] = field(default_factory=list)
    """Of each request, the port at the client's end."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
        body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(length)
                self.connections.append(writer.get_extra_info("peername")[1])
                writer.write(answer + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def keep_alive(anyio_backend: str) -> AsyncIterator[KeepAliveProvider]:
    provider = KeepAliveProvider()
    listener = await asyncio.start_server(provider.handle, "127.0.0.1", 0)
    provider.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    yield provider
    listener.close()


def text_of(response: dict[str, Any]) -> str:
    """The text of a response's messages."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "\n".join(part["text"] for item in messages for part in item["content"])


def secrets_in(request: RecordedRequest) -> set[str]:
    """The users' secret words in a request: more than one is a leak."""
    return set(re.findall(r"secret\d{3}", request.text))


@pytest.fixture(name="text_of")
def _text_of() -> Callable[[dict[str, Any]], str]:
    return text_of


@pytest.fixture(name="secrets_in")
def _secrets_in() -> Callable[[RecordedRequest], set[str]]:
    return secrets_in
