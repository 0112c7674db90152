"""Streams as bytes: framing, heartbeats, readers that go away and readers that are slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from starlette.types import Message

from turnlane.server.answer import HEARTBEAT, EventStream

from .engines import place

pytestmark = pytest.mark.anyio


async def test_frames_have_the_type_as_event_and_one_line_of_data(served: Any) -> None:
    body = {"model": "everything", "input": "line one\nline two \u2028 \r\n end", "stream": True}
    answer = await served.http().post("/v1/responses", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    for frame in frames:
        event, data = frame.split("\n")
        assert json.loads(data.removeprefix("data: "))["type"] == event.removeprefix("event: ")
    assert frames[-1].startswith("event: response.completed\n")


async def test_chat_frames_end_with_done(served: Any) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "stream": True}
    answer = await served.http().post("/v1/chat/completions", json=body)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert all(frame.startswith("data: ") for frame in answer.text.removesuffix("\n\n").split("\n\n"))


async def test_a_quiet_stream_gets_comments(serve: Any) -> None:
    served = await serve(heartbeat=0.01)
    body = {"model": "waits", "input": "x", "stream": True}
    async with served.http().stream("POST", "/v1/responses", json=body) as answer:
        comments, last = 0, ""
        async for line in answer.aiter_lines():
            comments += line.startswith(":")
            if comments == 3:
                served.signals.set("go")
            last = line or last
    assert comments >= 3
    assert '"response.completed"' in last


async def test_a_reader_that_goes_away_does_not_stop_the_turn(served: Any) -> None:
    client = served.openai()
    stream = await client.responses.create(model="waits", input="x", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    turn = served.worker.claims[-1].turn
    served.signals.set("go")
    ended = await served.engine.wait(turn.id, timeout=10)
    assert ended.status == "completed"
    again = await client.responses.retrieve(turn.id, stream=True, starting_after=3)
    assert [event.type async for event in again][-1] == "response.completed"


class Wire:
    """The other end of an ASGI stream, moved by hand."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.arrived = asyncio.Condition()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.may_send.wait()
        async with self.arrived:
            self.sent.append(message)
            self.arrived.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.sent) >= count)


async def test_a_slow_reader_is_not_read_ahead_for() -> None:
    asked = 0

    async def frames() -> AsyncGenerator[bytes, None]:
        nonlocal asked
        while asked < 100:
            asked += 1
            yield b"x" * 1000

    wire = Wire()
    answer = asyncio.create_task(EventStream(frames(), heartbeat=60).send(wire.receive, wire.send))
    await wire.until(3)
    wire.may_send.clear()
    stopped_at = asked
    for _ in range(50):
        await asyncio.sleep(0)
    assert asked <= stopped_at + 1
    wire.may_send.set()
    await answer
    assert asked == 100
    assert wire.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_when_the_reader_has_gone_the_source_is_closed() -> None:
    closed = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    wire = Wire()
    answer = asyncio.create_task(EventStream(frames(), heartbeat=60).send(wire.receive, wire.send))
    await wire.until(2)
    wire.gone.set()
    async with asyncio.timeout(10):
        await answer
    assert closed.is_set()


async def test_heartbeats_go_between_frames() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        yield b"one"
        yield b"two"
        await asyncio.Event().wait()

    wire = Wire()
    answer = asyncio.create_task(EventStream(frames(), heartbeat=0.001).send(wire.receive, wire.send))
    await wire.until(2)
    await wire.until(5)
    assert HEARTBEAT in [message.get("body") for message in wire.sent]
    wire.gone.set()
    await answer


async def test_a_broken_source_ends_the_stream_with_an_error_event(serve: Any, monkeypatch: Any) -> None:
    served = await serve()

    def broken(turn_id: str, **options: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.engine, "events", broken)
    answer = await served.http().post("/v1/responses", json={"model": "echo", "input": "x", "stream": True})
    last = json.loads(answer.text.strip().rpartition("data: ")[2])
    assert last["type"] == "error"
    assert "bug in Turnlane" in last["message"]
    assert "secret" not in answer.text


async def test_a_stream_ends_with_an_error_event_when_the_server_stops(serve: Any) -> None:
    served = await serve(attach=False)
    client = served.openai()
    stream = await client.responses.create(model="echo", input="x", stream=True)
    events = [await anext(aiter(stream))]
    await served.engine.close()
    events += [event async for event in stream]
    assert [event.type for event in events] == ["response.created", "error"]
    assert events[-1].code == "server_stopped"
    assert f"retrieve {events[0].response.id} later" in events[-1].message
    assert place(served.engine) not in events[-1].message


async def test_a_chat_stream_says_where_its_answer_will_be_when_the_server_stops(serve: Any) -> None:
    served = await serve(attach=False)
    messages = [{"role": "user", "content": "x"}]
    stream = await served.openai().chat.completions.create(model="echo", messages=messages, stream=True)
    await anext(aiter(stream))
    (turn,) = await served.engine.turns()
    await served.engine.close()
    with pytest.raises(openai.APIError) as caught:
        [chunk async for chunk in stream]
    assert caught.value.code == "server_stopped"
    assert caught.value.body["response_id"] == turn.id  # type: ignore[index]
