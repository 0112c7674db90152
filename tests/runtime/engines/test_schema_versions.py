"""A store that an older version of Turnlane wrote is moved with everything in it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Final

import pytest

from turnlane.runtime.conversation import LedgerEntry, Turn, TurnEvent, Usage
from turnlane.runtime.engine import IdempotencyMismatch
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.engines.sqlite_schema import APPLICATION_ID, MIGRATIONS, VERSION_1, open_for_writing
from turnlane.testing.scripted_worker import ScriptedWorker, message, new_turn, outcome

pytestmark = pytest.mark.anyio

ASKED: Final = [message("asked of version 1")]
ADDED: Final = message("added in version 1")
STATE: Final = {"kind": "test", "version": "1", "data": ["done"]}


def turn_row(n: int, name: str, position: int, status: str, attempt: int, **fields: Any) -> tuple[Any, ...]:
    request = {"input": ASKED, "metadata": {"of": name}, "options": {"x": 1}, "request_id": "req_1"}
    return (
        n,
        name,
        fields.get("conversation", 1),
        position,
        "echo",
        "local",
        status,
        attempt,
        0,
        fields.get("cancel_requested", 0),
        10.0 + n,
        20.0 if attempt else None,
        30.0 if status == "completed" else None,
        fields.get("idempotency_key"),
        fields.get("fingerprint"),
        json.dumps(request),
        json.dumps(fields["result"]) if "result" in fields else None,
    )


def write_version_1(folder: Path) -> None:
    """A store as version 1 left it when it was killed: a turn that had ended, two that ran and one that waited."""
    result = {"output": [{"type": "message", "text": "well"}], "usage": [1, 2, 3, 0]}
    event = [0, "finished", 30.0, {"status": "completed"}]
    connection = sqlite3.connect(folder / "turnlane.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in VERSION_1:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.executemany(
        "INSERT INTO conversation VALUES (?, ?, 'local', 'echo', ?, 5.0)",
        [(1, "conv_1", json.dumps({"topic": "tea"})), (2, "conv_2", "{}")],
    )
    connection.executemany(
        f"INSERT INTO turn VALUES ({', '.join('?' * 17)})",
        [
            turn_row(1, "done", 0, "completed", 1, idempotency_key="k", fingerprint="f", result=result),
            turn_row(2, "runs", 2, "running", 1),
            turn_row(3, "waits", 3, "queued", 0),
            turn_row(4, "stops", 0, "running", 2, conversation=2, cancel_requested=1),
        ],
    )
    connection.execute("INSERT INTO item VALUES (1, 1, ?, ?)", (ADDED["id"], json.dumps(ADDED)))
    connection.execute("INSERT INTO state VALUES (1, 0, ?)", (json.dumps(STATE),))
    connection.execute("INSERT INTO event_chunk VALUES (?, 0, ?)", (1 << 31, json.dumps([event])))
    connection.close()


@pytest.fixture
async def moved(tmp_path: Path) -> Any:
    write_version_1(tmp_path)
    engine = EmbeddedEngine(tmp_path)
    await engine.open()
    yield engine
    await engine.close()


async def test_what_had_ended_is_as_it_was(moved: EmbeddedEngine) -> None:
    assert await moved.turn("done") == Turn(
        id="done",
        conversation="conv_1",
        agent="echo",
        key="local",
        position=0,
        status="completed",
        attempt=1,
        input=ASKED,
        output=[{"type": "message", "text": "well"}],
        usage=Usage(1, 2, 3, 0),
        metadata={"of": "done"},
        options={"x": 1},
        request_id="req_1",
        idempotency_key="k",
        created_at=11.0,
        started_at=20.0,
        finished_at=30.0,
    )
    assert [one async for one in moved.events("done")] == [TurnEvent(0, "finished", 30.0, {"status": "completed"})]
    assert await moved.state("conv_1") == STATE
    conversation = await moved.conversation("conv_1")
    assert conversation is not None
    assert (conversation.agent, conversation.metadata) == ("echo", {"topic": "tea"})
    repeat = new_turn("conv_1", idempotency_key="k", fingerprint="f")
    assert (await moved.accept(repeat)).turn.id == "done"
    with pytest.raises(IdempotencyMismatch):
        await moved.accept(new_turn("conv_1", idempotency_key="k", fingerprint="g"))


async def test_what_had_not_ended_goes_on_and_what_was_cancelled_does_not(moved: EmbeddedEngine) -> None:
    stopped = await moved.turn("stops")
    assert stopped is not None
    assert (stopped.status, stopped.stop_asked) == ("cancelled", "cancel")
    worker = ScriptedWorker()
    await moved.attach(worker)
    claim = await worker.claim()
    assert (claim.turn.id, claim.attempt, list(claim.items)) == ("runs", 2, [ADDED])
    assert claim.state is not None
    assert claim.state.to_json() == STATE
    await moved.commit(claim, outcome(claim))
    assert (await worker.claim()).turn.id == "waits"


async def test_a_store_of_version_1_can_do_all_that_is_new(moved: EmbeddedEngine) -> None:
    merged = await moved.accept(new_turn("conv_1", when_busy="merge", idempotency_key="new", fingerprint="f"))
    assert (merged.joined, merged.turn.id, merged.turn.not_before) == (True, "waits", None)
    worker = ScriptedWorker()
    await moved.attach(worker)
    claim = await worker.claim()
    entry = LedgerEntry("model", "ended", "asked", "call", "gpt", answer="42")
    await moved.record(claim, [entry])
    await moved.accept(new_turn("conv_1", when_busy="interrupt"))
    assert await worker.told_to_stop() == ("runs", 2, "interrupt")
    assert await moved.ledger("runs") == [entry]


async def test_the_schema_is_moved_once(tmp_path: Path) -> None:
    write_version_1(tmp_path)
    schemas = []
    for _ in range(2):
        connection = open_for_writing(tmp_path / "turnlane.db")
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        schemas.append(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall())
        connection.close()
    assert schemas[0] == schemas[1]
