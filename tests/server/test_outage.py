"""The store goes away under a serving server: what users, load balancers and the log see, and that it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines import sqlite_watch
from turnlane.server import ApiKeys
from turnlane.telemetry.events import add_sink

from .engines import postgresql

pytestmark = pytest.mark.anyio


@pytest.fixture
def told() -> Iterator[list[str]]:
    heard: list[str] = []
    remove = add_sink(lambda name, fields: heard.append(name) if name.startswith("engine.") else None)
    yield heard
    remove()


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await done():
            await asyncio.sleep(0.02)


async def ready(http: Any) -> bool:
    return bool((await http.get("/readyz")).status_code == 200)


async def not_ready(http: Any) -> bool:
    return not await ready(http)


# --- SQLite ---


async def test_on_a_full_disk_the_server_says_so_and_goes_on_by_itself(
    tmp_path: Path, serve_with: Any, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnlane.runtime.engines.embedded import EmbeddedEngine

    monkeypatch.setattr(sqlite_watch, "PROBE_PAUSE", 0.01)
    monkeypatch.setattr(sqlite_watch, "QUIET", 0.0)
    engine = EmbeddedEngine(tmp_path)
    await engine.open()
    served = await serve_with(engine)
    client, http = served.openai(), served.http()

    async def limit(pages: int) -> None:
        await engine._writer.submit(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    await limit(1)
    for _ in range(3):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.responses.create(model="echo", input="x" * 50_000)
        assert (caught.value.status_code, caught.value.code) == (503, "engine_unavailable")
        assert int(caught.value.response.headers["retry-after"]) >= 1
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert "is full" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"]
    await limit(1_000_000)
    await until(lambda: ready(http))
    assert (await client.responses.create(model="echo", input="x")).status == "completed"
    assert told == ["engine.trouble", "engine.back"]
    await engine.close()


# --- PostgreSQL ---


@pytest.fixture
def own_server() -> Iterator[Any]:
    """A PostgreSQL server that a test may stop, and what opens engines on it."""
    from turnlane.testing.postgres_server import NEWEST, PostgresMissing, PostgresServer

    try:
        with PostgresServer(NEWEST, fsync=False) as server:
            yield server, postgresql(server)
    except PostgresMissing as missing:
        pytest.skip(str(missing))


async def test_while_postgresql_is_down_users_get_503_and_turns_wait(
    tmp_path: Path, own_server: Any, serve_with: Any, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnlane.runtime.engines.postgres import engine as module

    monkeypatch.setattr(module, "PATIENCE", 0.3)
    server, open_engine = own_server
    async with open_engine(tmp_path, None) as engine:
        user, operator = "user-key-0123456789", "ops-key-0123456789ab"
        served = await serve_with(engine, keys=ApiKeys([f"user {user}", f"ops {operator} admin"]))
        client, http = served.openai(user), served.http(user)
        stream = await client.responses.create(model="talks", input="one", stream=True)
        events = [await anext(aiter(stream))]
        await served.signals.wait("talking one")

        await asyncio.to_thread(server.stop, "immediate")
        await until(lambda: not_ready(http))
        reason = (await http.get("/readyz")).json()["error"]["message"]
        assert reason.startswith("PostgreSQL at 127.0.0.1")
        key = {"Idempotency-Key": "again"}
        for _ in range(2):
            with pytest.raises(openai.InternalServerError) as caught:
                await client.responses.create(model="talks", input="two", extra_headers=key)
            assert (caught.value.status_code, caught.value.code) == (503, "engine_unavailable")
            assert int(caught.value.response.headers["retry-after"]) >= 1
            assert "PostgreSQL" not in caught.value.message
        answer = await served.http(operator).get(f"/v1/responses/{events[0].response.id}")
        assert answer.status_code == 503
        assert "PostgreSQL at 127.0.0.1" in answer.json()["error"]["message"]
        assert (await http.get("/healthz")).status_code == 200

        served.signals.set("go one")
        served.signals.set("go two")
        await asyncio.to_thread(server.start)
        events += [event async for event in stream]
        while events[-1].type == "error":  # as every reader does, see streaming-and-resuming.md
            await until(lambda: ready(http))
            response, last_seen = events[0].response.id, events[-1].sequence_number
            rest = await client.responses.retrieve(response, stream=True, starting_after=last_seen)
            events = [*events[:-1], *[event async for event in rest]]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (events[-1].type, events[-1].response.output_text) == ("response.completed", "half an answer")
        await until(lambda: ready(http))
        second = await client.responses.create(model="talks", input="two", extra_headers=key)
        assert second.output_text == "half an answer"
        turns = (await http.get("/turns")).json()["turns"]
        assert sorted(turn["status"] for turn in turns) == ["completed"] * len(turns)
        assert [turn["input"][0]["content"][0]["text"] for turn in turns] == ["two", "one"]
    assert told == ["engine.trouble", "engine.back"]


# --- a stream under which the store goes away, on every engine ---


async def test_a_stream_that_loses_the_store_goes_on_where_it_was(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.openai()
    whole = [event async for event in await client.responses.create(model="everything", input="x", stream=True)]
    response = whole[0].response.id
    events = served.engine.events

    async def breaks_off(turn_id: str, **options: Any) -> AsyncIterator[Any]:
        async for number, event in enumerated(events(turn_id, **options)):
            if number == 5:
                raise EngineUnavailable("the store is away")
            yield event

    for trouble, code in (("the store is away", "engine_unavailable"), (None, "server_stopped")):
        with monkeypatch.context() as patched:
            patched.setattr(served.engine, "events", breaks_off)
            patched.setattr(type(served.engine), "trouble", property(lambda self, trouble=trouble: trouble))
            seen = [event async for event in await client.responses.retrieve(response, stream=True)]
        assert (seen[-1].type, seen[-1].code) == ("error", code)
        assert f"retrieve {response}" in seen[-1].message
        last_seen = seen[-1].sequence_number
        assert last_seen == seen[-2].sequence_number
        rest = await client.responses.retrieve(response, stream=True, starting_after=last_seen)
        assert [*seen[:-1], *[event async for event in rest]] == whole


async def enumerated(source: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for one in source:
        yield number, one
        number += 1
