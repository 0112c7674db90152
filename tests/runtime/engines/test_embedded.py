"""The embedded engine keeps the promises of every engine, and its own (see also test_embedded_store.py)."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from turnlane.runtime.conversation import Claim, Conversation, LedgerEntry, Outcome, new_id
from turnlane.runtime.engine import Engine, EngineUnavailable
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.engines.event_flush import TOO_MANY
from turnlane.runtime.engines.live import TAIL
from turnlane.runtime.limits import Bounds
from turnlane.testing.engine_promises import EnginePromises
from turnlane.testing.scripted_worker import ScriptedWorker, event, first_turn, new_turn, outcome

pytestmark = pytest.mark.anyio


class TestEmbeddedEngine(EnginePromises):
    ahead = 0.0
    """Seconds by which the engine's clock is ahead of the real one."""

    async def open_engine(self, folder: Path, bounds: Bounds) -> Engine:
        engine = EmbeddedEngine(folder, bounds=bounds, clock=lambda: time.time() + self.ahead)
        await engine.open()
        return engine

    async def crash(self, engine: Engine) -> None:
        assert isinstance(engine, EmbeddedEngine)
        await engine.crash()

    async def advance(self, engine: Engine, seconds: float) -> None:
        assert isinstance(engine, EmbeddedEngine)
        self.ahead += seconds
        await engine._start_due()  # what its alarm does

    def now(self, engine: Engine) -> float:
        return time.time() + self.ahead


class TestEmbeddedEngineOnUvloop(TestEmbeddedEngine):
    """The loop that `turnlane serve` runs on, and a clock that nobody sets."""

    async def advance(self, engine: Engine, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"use_uvloop": True}

    test_the_promises_hold_in_any_order_of_events = None  # type: ignore[assignment]  # it makes its own loop


@pytest.fixture
async def engine(tmp_path: Path, opened: Any) -> Any:
    engine = await opened(tmp_path)
    yield engine
    await engine.close()


# --- group commit ---


async def test_what_waits_together_is_one_transaction(engine: EmbeddedEngine) -> None:
    await asyncio.gather(*(engine.accept(first_turn()) for _ in range(300)))
    assert engine._writer.operations == 300
    assert engine._writer.commits < 30


async def test_a_call_that_breaks_fails_alone(engine: EmbeddedEngine) -> None:
    def write_and_break(connection: Any) -> None:
        connection.execute("INSERT INTO state VALUES (1, 1, '{}')")
        raise ZeroDivisionError("a bug")

    news = [first_turn() for _ in range(20)]
    futures = [asyncio.ensure_future(engine.accept(new)) for new in news[:10]]
    await asyncio.sleep(0)
    broken = engine._writer.submit(write_and_break)
    futures += [asyncio.ensure_future(engine.accept(new)) for new in news[10:]]
    await asyncio.gather(*futures)
    with pytest.raises(ZeroDivisionError):
        await broken
    assert [turn.id for turn in await engine.turns()] == [new.id for new in reversed(news)]
    written = await engine._reader.submit(lambda c: c.execute("SELECT count(*) FROM state").fetchone())
    assert written == (0,)


async def test_running_turns_keep_their_owner_when_a_batch_is_undone(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker(capacity=2)
    await engine.attach(worker)
    first = first_turn()
    for new in (first, new_turn(first.conversation), first_turn(), first_turn()):
        await engine.accept(new)
    claim = await worker.claim()
    await engine.cancel(claim.turn.id)

    def break_it(connection: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await engine._writer.submit(break_it)
    stats = await engine.stats()
    assert (stats.running, stats.queued) == (2, 2)
    turn = await engine.commit(claim, outcome(claim))
    assert turn.cancel_requested
    ids = {(await worker.claim()).turn.id for _ in range(2)}
    assert first.id not in ids
    stats = await engine.stats()
    assert (stats.running, stats.queued) == (2, 1)


async def test_what_stops_gathers_and_was_recorded_is_known_when_a_batch_is_undone(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    first = first_turn()
    await engine.accept(first)
    claim = await worker.claim()
    await engine.record(claim, [LedgerEntry("model", "ended", "asked", "call", "gpt")])
    await engine.accept(new_turn(first.conversation, when_busy="interrupt"))
    gathers = first_turn(when_busy="debounce", delay=0.05)
    await engine.accept(gathers)
    await engine.accept(new_turn(gathers.conversation, when_busy="merge"))

    def break_it(connection: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await engine._writer.submit(break_it)
    assert (await engine.commit(claim, outcome(claim))).stop_asked == "interrupt"
    assert await engine.ledger(first.id) == []
    started = [await worker.claim(), await worker.claim()]
    assert gathers.id in {one.turn.id for one in started}
    assert max(len(one.turn.input) for one in started) == 2


async def test_an_engine_whose_turns_gather_sleeps(engine: EmbeddedEngine) -> None:
    await engine.attach(ScriptedWorker())
    await engine.accept(first_turn(when_busy="debounce", delay=0.5))
    commits = engine._writer.commits
    timer = engine._alarm._timer
    assert timer is not None
    assert 0.3 < timer.when() - asyncio.get_running_loop().time() <= 0.502
    assert engine._writer.commits == commits
    await engine.close()
    assert timer.cancelled()


async def test_when_the_writer_dies_everybody_hears_it(engine: EmbeddedEngine) -> None:
    def die(connection: Any) -> None:
        raise SystemExit("a bug that kills the thread")

    new = first_turn()
    await engine.accept(new)
    waiter = asyncio.ensure_future(engine.wait(new.id))
    await asyncio.sleep(0)
    death = engine._writer.submit(die)
    pending = asyncio.ensure_future(engine.accept(first_turn()))
    for late in (death, pending, waiter):
        with pytest.raises(EngineUnavailable, match="died"):
            await late
    with pytest.raises(EngineUnavailable, match="restart"):
        await engine.accept(first_turn())


# --- workers that misbehave ---


async def test_a_worker_that_raises_loses_the_turn_to_another(engine: EmbeddedEngine) -> None:
    class Broken(ScriptedWorker):
        def deliver(self, claim: Claim) -> None:
            raise RuntimeError("no room in here")

    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    await engine.attach(Broken())
    new = first_turn()
    await engine.accept(new)
    good = ScriptedWorker()
    await engine.attach(good)
    claim = await good.claim()
    assert (claim.turn.id, claim.attempt) == (new.id, 2)
    assert "deliver" in reported[0]["message"]


async def test_a_worker_that_is_attached_again_gets_its_new_size(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker(capacity=1)
    await engine.attach(worker)
    for _ in range(3):
        await engine.accept(first_turn())
    worker.capacity = 2
    await engine.attach(worker)
    assert (await engine.stats()).running == 2


# --- memory and resources ---


async def test_conversations_at_rest_cost_no_memory(engine: EmbeddedEngine, tmp_path: Path, opened: Any) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    for _ in range(50):
        await engine.accept(first_turn())
        claim = await worker.claim()
        await engine.commit(claim, outcome(claim))
    assert not engine._live
    assert len(engine._ownership.lanes) == 0
    assert not engine._ownership._owners
    assert not engine._flush._dirty
    await engine.close()
    again = await opened(tmp_path)
    assert not again._live
    await again.close()


async def test_a_running_turn_keeps_only_the_tail_of_its_events(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    await engine.accept(first_turn())
    claim = await worker.claim()
    for start in range(0, 20_000, 100):
        await engine.publish(claim, [event(claim, i) for i in range(start, start + 100)])
        live = engine._live[claim.turn.id]
        assert len(live._tail) <= 2 * TAIL
        assert len(live.unwritten) <= TOO_MANY + 100


async def test_events_become_durable_without_a_commit(engine: EmbeddedEngine, opened: Any) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    await engine.accept(first_turn())
    claim = await worker.claim()
    await engine.publish(claim, [event(claim, 0)])
    flush = engine._flush._timer
    assert flush is not None
    assert flush.when() - asyncio.get_running_loop().time() <= 0.05
    live = engine._live[claim.turn.id]
    await engine._flush.wait_for(live)
    assert not live.unwritten
    await engine.crash()
    again = await opened(engine.folder)
    assert [one.seq for one in await again.superseded_events(claim.turn.id)] == [0]
    await again.close()


async def test_a_commit_waits_for_a_flush_that_is_under_way(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    await engine.accept(first_turn())
    claim = await worker.claim()
    await engine.publish(claim, [event(claim, i) for i in range(300)])  # so many are written at once
    assert engine._flush._under_way is not None
    await engine.publish(claim, [event(claim, 300)])
    await engine.commit(claim, outcome(claim, said=301))
    seqs = [one.seq async for one in engine.events(claim.turn.id)]
    assert seqs == list(range(302))


async def test_nothing_is_left_after_close(tmp_path: Path, opened: Any) -> None:
    await asyncio.get_running_loop().run_in_executor(None, int)  # the executor's own thread stays
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        engine = await opened(tmp_path)
        await engine.accept(first_turn())
        await engine.close()
        await engine.close()
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert not {name for name in left if name.startswith("turnlane")}
    assert len(os.listdir("/proc/self/fd")) <= files


async def test_an_engine_that_was_never_opened_says_so_and_can_be_closed(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    with pytest.raises(EngineUnavailable, match="not open"):
        await engine.accept(first_turn())
    await engine.close()


async def test_a_new_conversation_needs_a_new_id(engine: EmbeddedEngine) -> None:
    conversation = Conversation(new_id("conv"))
    await engine.create_conversation(conversation)
    with pytest.raises(Exception, match="already"):
        await engine.create_conversation(conversation)


async def test_a_turn_cannot_be_committed_as_waiting(engine: EmbeddedEngine) -> None:
    worker = ScriptedWorker()
    await engine.attach(worker)
    await engine.accept(first_turn())
    claim = await worker.claim()
    with pytest.raises(ValueError, match="no end"):
        await engine.commit(claim, Outcome("queued"))
    assert "1 running" in repr(engine)
