"""Moments at which two processes meet over one database, held still by a third connection or a lost answer.

The engines look around once in half a minute only: what a lost notice would tell is not found by chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeAlias

import anyio
import asyncpg
import pytest

from turnlane.runtime.conversation import Conversation, LedgerEntry, StopAsk, WhenBusy, new_id
from turnlane.runtime.engine import OwnershipLost
from turnlane.runtime.engines.postgres import schema
from turnlane.runtime.engines.postgres.batches import Batches, Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection, connect
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.runtime.engines.postgres.leases import PROCESS_LOCK
from turnlane.runtime.engines.postgres.working import put_back
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.scripted_worker import (
    PATIENCE,
    ScriptedWorker,
    event,
    first_turn,
    message,
    new_turn,
    outcome,
)
from turnlane.testing.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

SELDOM = 30.0
OFTEN = 0.05
"""Seconds between two looks of an engine at the others."""

Opener: TypeAlias = Callable[..., Awaitable[PostgresEngine]]


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    template = postgres_server.template("turnlane_ready", lambda url: asyncio.run(schema.migrate(url)))
    name = postgres_server.create_database(template=template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Opener]:
    """Opens engines over one database, and closes them at the end."""
    async with AsyncExitStack() as stack:

        async def open_it(*, tick: float = SELDOM, lease: float = 60.0) -> PostgresEngine:
            engine = PostgresEngine(url, lease=lease, tick=tick, grace=0.0)
            stack.push_async_callback(engine.close)
            await engine.open()
            return engine

        yield open_it


@pytest.fixture
async def side(url: str) -> AsyncIterator[Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def told_to_the_loop() -> AsyncIterator[list[dict[str, Any]]]:
    """What nobody else was told."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    yield told
    asyncio.get_running_loop().set_exception_handler(None)


async def attached(engine: PostgresEngine, **options: Any) -> ScriptedWorker:
    worker = ScriptedWorker(**options)
    await engine.attach(worker)
    return worker


async def until(true: Callable[[], Awaitable[object]], what: str) -> None:
    try:
        with anyio.fail_after(PATIENCE):
            while not await true():
                await anyio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def somebody_waits(side: Connection) -> None:
    """Until another connection to the database waits for a lock."""
    await until(
        lambda: side.fetchval(
            """SELECT true FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"""
        ),
        "somebody waits",
    )


def lose_one_answer(batches: Batches, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
    """The next transaction is committed, and the connection breaks before the answer is heard."""
    together = batches._together

    async def lose(calls: Sequence[Call]) -> list[Effect]:
        batches._together = together  # type: ignore[method-assign]
        await together(calls)
        batches.link.drop()
        if meanwhile is not None:
            await meanwhile()
        raise ConnectionResetError

    batches._together = lose  # type: ignore[method-assign]


def before_the_next_answer(batches: Batches, do: Callable[[], Awaitable[object]]) -> None:
    """`do` happens between the next commit and the moment at which this process hears of it."""
    together = batches._together

    async def answer(calls: Sequence[Call]) -> list[Effect]:
        effects = await together(calls)
        batches._together = together  # type: ignore[method-assign]
        await do()
        return effects

    batches._together = answer  # type: ignore[method-assign]


# --- lanes that nobody would ever look at again ---


async def test_what_a_process_could_not_give_back_when_it_closed_is_run_by_another(
    opened: Opener, side: Connection
) -> None:
    closing, other = await opened(), await opened(tick=OFTEN)
    worker = await attached(closing)
    turn = (await closing.accept(first_turn())).turn
    await worker.claim()
    # The database was away until just now, and somebody holds the turn: only the goodbye is heard.
    closing._outage.failed("away")
    async with side.transaction():
        await side.execute("SELECT FROM turnlane.work FOR UPDATE")
        await closing.close()
    claim = await (await attached(other)).claim()
    assert (claim.turn.id, claim.attempt) == (turn.id, 2)


async def test_a_process_is_known_to_the_others_as_long_as_it_lives(opened: Opener, side: Connection) -> None:
    """When it came back somebody held its lock, to see whether it lives, and struck it off."""
    engine = await opened(tick=OFTEN)
    async with side.transaction():
        await side.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND database = (
                SELECT oid FROM pg_database WHERE datname = current_database())""",
            PROCESS_LOCK,
            engine.process,
        )
        await side.execute("SELECT pg_advisory_xact_lock($1, $2)", PROCESS_LOCK, engine.process)
        taken_at = await side.fetchval("SELECT clock_timestamp()")
        back = "SELECT true FROM turnlane.process WHERE n = $1 AND seen_at > $2"
        await until(lambda: side.fetchval(back, engine.process, taken_at), "it is back without its lock")
        await side.execute("DELETE FROM turnlane.process WHERE n = $1", engine.process)
    there = "SELECT true FROM turnlane.process WHERE n = $1"
    await until(lambda: side.fetchval(there, engine.process), "it is known again")


async def test_what_follows_is_claimed_also_when_more_ended_at_once_than_there_was_room(opened: Opener) -> None:
    engine = await opened()
    worker = await attached(engine, capacity=5)
    lanes = [first_turn() for _ in range(4)]
    for lane in lanes:
        await engine.accept(lane)
    running = [await worker.claim() for _ in lanes]
    followers = [(await engine.accept(new_turn(lane.conversation))).turn.id for lane in lanes]
    await asyncio.gather(*(engine.commit(claim, outcome(claim)) for claim in running))
    assert sorted([(await worker.claim()).turn.id for _ in lanes]) == sorted(followers)


async def test_what_one_process_has_no_room_for_is_offered_to_the_others(opened: Opener) -> None:
    full, idle = await opened(), await opened()
    worker, helper = await attached(full, capacity=1), await attached(idle)
    await asyncio.gather(*(full.accept(first_turn()) for _ in range(4)))
    await worker.claim()
    for _ in range(3):
        await helper.claim()


async def test_one_silent_connection_costs_no_turns(
    url: str, opened: Opener, postgres_server: PostgresServer
) -> None:
    """The lease is renewed through another one, in time."""
    other = await opened(tick=OFTEN)
    with TcpProxy(("127.0.0.1", postgres_server.port)) as proxy:
        engine = PostgresEngine(url, lease=3.0, tick=0.1)
        engine._leases._url = url.replace(str(postgres_server.port), str(proxy.port))
        await engine.open()
        worker = await attached(engine)
        await engine.accept(first_turn())
        claim = await worker.claim()
        await other.attach(ScriptedWorker())
        proxy.silence()
        engine._leases._url, sure_until = url, engine._leases._sure_until
        await until(lambda: asyncio.sleep(0, engine._leases._sure_until > sure_until), "the lease is renewed")
        assert (await engine.commit(claim, outcome(claim))).attempt == 1
        await engine.close()


async def test_the_lock_of_one_that_is_cut_off_is_kept_for_its_lease(opened: Opener) -> None:
    engine = await opened(lease=60.0)
    async with engine._leases.use() as connection:
        assert await connection.fetchval("SHOW tcp_keepalives_idle") == "60"


async def test_events_alone_make_nobody_look_for_turns(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await opened()
    worker = await attached(engine)
    await engine.accept(first_turn())
    claim = await worker.claim()
    rooms, looks = engine._running.rooms, []
    monkeypatch.setattr(engine._running, "rooms", lambda: looks.append("a look") or rooms())
    for offset in range(3):
        await engine.publish(claim, [event(claim, offset)])
        await engine._flush.wait_for(engine._running.hold_of(claim).live)
    assert looks == []
    await engine.commit(claim, outcome(claim, said=3))
    assert looks == ["a look"]


# --- errors that must not stop everything after them ---


async def test_an_error_of_ours_after_a_commit_stops_nobody(
    opened: Opener, told_to_the_loop: list[dict[str, Any]]
) -> None:
    engine = await opened()

    async def change(_connection: Connection, _again: bool) -> tuple[str, list[Effect]]:
        return "done", [lambda: 1 / 0]

    async with asyncio.timeout(PATIENCE):
        assert await engine._change(change) == "done"
        assert (await engine.accept(first_turn())).created
    assert [type(one["exception"]) for one in told_to_the_loop] == [ZeroDivisionError]


async def test_an_error_in_one_look_is_not_the_last_look(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, told_to_the_loop: list[dict[str, Any]]
) -> None:
    """Somebody waits for a turn of another process; a look at it fails once."""
    here, there = await opened(tick=OFTEN), await opened()
    turn = (await there.accept(first_turn())).turn
    waiting = asyncio.ensure_future(here.wait(turn.id))
    failed = asyncio.Event()
    glance = here._watching._glance

    async def fail_once(wanted: Sequence[str]) -> None:
        monkeypatch.setattr(here._watching, "_glance", glance)
        failed.set()
        raise asyncpg.UndefinedColumnError("a schema that changes at this moment")

    monkeypatch.setattr(here._watching, "_glance", fail_once)
    await failed.wait()
    worker = await attached(there)
    claim = await worker.claim()
    await there.commit(claim, outcome(claim))
    async with asyncio.timeout(PATIENCE):
        ended = await waiting
    assert ended is not None
    assert ended.status == "completed"


async def test_a_schema_that_is_moved_under_a_running_process_fails_no_request(
    opened: Opener, side: Connection
) -> None:
    engine = await opened()
    turn = (await engine.accept(first_turn())).turn
    await engine.cancel(turn.id)
    await side.execute("ALTER TABLE turnlane.turn ALTER COLUMN agent TYPE varchar(200)")
    cancelled = await engine.cancel(turn.id)
    assert cancelled is not None
    assert cancelled.status == "cancelled"


async def test_a_process_that_is_frozen_in_a_transaction_holds_a_lane_no_longer_than_a_request_waits(
    url: str, opened: Opener
) -> None:
    engine = await opened()
    first = first_turn()
    await engine.accept(first)
    frozen = await connect(url)
    await frozen.transaction().start()
    await frozen.execute("SELECT turnlane.hold_lanes($1)", [first.conversation])
    await engine.accept(new_turn(first.conversation))
    frozen.terminate()
    assert engine.trouble is None


# --- requests to stop ---


@pytest.mark.parametrize(("why", "status"), [("cancel", "cancelled"), ("interrupt", "interrupted")])
async def test_a_turn_that_is_given_back_at_the_very_moment_is_stopped_all_the_same(
    opened: Opener, side: Connection, why: StopAsk, status: str
) -> None:
    engine = await opened()
    worker = await attached(engine, capacity=1)
    turn = (await engine.accept(first_turn())).turn
    await worker.claim()
    await engine.detach(worker)
    given_back = side.transaction()
    await given_back.start()
    number, receipt = await side.fetchrow("SELECT turn, receipt FROM turnlane.work")  # type: ignore[misc]
    assert await put_back(side, [number], [receipt]) == [number]
    if why == "cancel":
        asking: asyncio.Future[Any] = asyncio.ensure_future(engine.cancel(turn.id))
    else:
        asking = asyncio.ensure_future(engine.accept(new_turn(turn.conversation, when_busy="interrupt")))
    await somebody_waits(side)
    await given_back.commit()
    await asking
    ended = await engine.turn(turn.id)
    assert ended is not None
    assert ended.status == status


async def test_a_turn_is_told_to_stop_that_this_process_did_not_know_yet_to_run_here(opened: Opener) -> None:
    engine = await opened()
    turn = (await engine.accept(first_turn())).turn
    before_the_next_answer(engine._back, lambda: engine.cancel(turn.id))
    worker = await attached(engine)
    claim = await worker.claim()
    assert await worker.told_to_stop() == (claim.turn.id, 1, "cancel")


async def test_a_process_that_was_frozen_while_it_claimed_does_not_begin_the_turn(opened: Opener) -> None:
    frozen = await opened(tick=OFTEN)
    turn = (await frozen.accept(first_turn())).turn

    async def freeze() -> None:
        frozen._leases._sure_until = 0.0
        frozen._leases.hasten()

    before_the_next_answer(frozen._back, freeze)
    worker = await attached(frozen)
    claim = await worker.claim()
    assert (claim.turn.id, claim.attempt) == (turn.id, 2)


# --- clocks ---


async def test_turns_do_not_wait_until_a_clock_that_was_set_back_has_caught_up(
    opened: Opener, side: Connection
) -> None:
    engine = await opened(tick=OFTEN)
    await engine.accept(first_turn())
    await engine.accept(first_turn(when_busy="debounce", delay=0.1))
    for (queue,) in await side.fetch("SELECT DISTINCT queue FROM turnlane.work"):
        await side.execute(f"UPDATE pgmq.q_{queue} SET vt = vt + interval '1 hour'")
    await side.execute("UPDATE turnlane.work SET not_before = not_before + 3600")
    worker = await attached(engine)
    await worker.claim()
    await worker.claim()


async def test_a_dead_process_is_found_also_when_the_clock_was_set_back(opened: Opener, side: Connection) -> None:
    dead, other = await opened(), await opened(tick=OFTEN)
    worker = await attached(dead)
    await dead.accept(first_turn())
    await worker.claim()
    await side.execute(
        "UPDATE turnlane.process SET missing_since = clock_timestamp() + interval '1 hour' WHERE n = $1",
        dead.process,
    )
    await dead.crash()
    assert (await (await attached(other)).claim()).attempt == 2


async def test_nobody_counts_as_gone_because_the_clock_was_set_forward(opened: Opener, side: Connection) -> None:
    owner, other = await opened(), await opened(tick=OFTEN)
    worker, helper = await attached(owner), ScriptedWorker()
    await owner.accept(first_turn())
    claim = await worker.claim()
    await other.attach(helper)
    await side.execute("UPDATE turnlane.process SET seen_at = seen_at - interval '1 hour'")
    for _ in range(3):
        looked_at = other._leases._beat_at
        await until(lambda before=looked_at: asyncio.sleep(0, other._leases._beat_at > before), "the other looks")
    assert (await owner.commit(claim, outcome(claim))).attempt == 1


# --- answers that were lost with the connection ---


async def test_a_message_whose_answer_was_lost_is_joined_once(opened: Opener) -> None:
    engine = await opened()
    first = first_turn()
    await engine.accept(first)
    lose_one_answer(engine._front)
    new = new_turn(first.conversation, "and this", when_busy="merge")
    accepted = await engine.accept(new)
    assert (accepted.turn.id, accepted.joined) == (first.id, True)
    assert accepted.turn.input == [*first.input, *new.input]
    turn = await engine.turn(first.id)
    assert turn is not None
    assert turn.input == [*first.input, *new.input]


async def test_a_message_that_joined_what_has_run_since_is_not_taken_again(opened: Opener) -> None:
    engine, other = await opened(), await opened()
    first = first_turn()
    await engine.accept(first)
    worker = ScriptedWorker()

    async def run_it() -> None:
        await other.attach(worker)
        claim = await worker.claim()
        await other.commit(claim, outcome(claim))

    lose_one_answer(engine._front, run_it)
    accepted = await engine.accept(new_turn(first.conversation, "and this", when_busy="merge"))
    assert (accepted.turn.id, accepted.turn.status, accepted.joined) == (first.id, "completed", True)
    assert [entry.turn and entry.turn.id for entry in await engine.entries(first.conversation)] == [first.id]


@pytest.mark.parametrize("when_busy", ["enqueue", "interrupt", "rollback"])
async def test_a_turn_whose_answer_was_lost_is_accepted_once(opened: Opener, when_busy: WhenBusy) -> None:
    engine = await opened()
    first = first_turn()
    await engine.accept(first)
    lose_one_answer(engine._front)
    new = new_turn(first.conversation, when_busy=when_busy)
    accepted = await engine.accept(new)
    assert (accepted.turn.id, accepted.created) == (new.id, True)
    turns = [entry.turn.id for entry in await engine.entries(first.conversation) if entry.turn]
    assert turns == [first.id, new.id]


async def test_changes_of_a_conversation_whose_answers_were_lost_are_made_once(opened: Opener) -> None:
    engine = await opened()
    conversation = Conversation(new_id("conv"), created_at=1.0)
    items = [message("one"), message("two")]
    lose_one_answer(engine._front)
    await engine.create_conversation(conversation)
    lose_one_answer(engine._front)
    await engine.add_items(conversation.id, items)
    assert [entry.item for entry in await engine.entries(conversation.id)] == items
    lose_one_answer(engine._front)
    assert await engine.delete_item(conversation.id, items[0]["id"])
    assert [entry.item for entry in await engine.entries(conversation.id)] == items[1:]
    lose_one_answer(engine._front)
    assert await engine.delete_conversation(conversation.id)
    assert await engine.conversation(conversation.id) is None


async def test_what_workers_do_is_done_once_when_the_answers_were_lost(opened: Opener) -> None:
    engine = await opened(tick=OFTEN)
    lose_one_answer(engine._back)
    worker = await attached(engine)
    turn = (await engine.accept(first_turn())).turn
    first = await worker.claim()
    lose_one_answer(engine._back)
    await engine.record(first, [LedgerEntry("model", "ended", "asked", "call", "model", answer=1)])
    assert len(await engine.ledger(turn.id)) == 1
    lose_one_answer(engine._back)
    with suppress(OwnershipLost):  # it may have been claimed again by then
        await engine.release(first)
    claim = await worker.claim()
    await engine.publish(claim, [event(claim, 0)])
    lose_one_answer(engine._back)
    committed = await engine.commit(claim, outcome(claim, said=1))
    assert await engine.turn(turn.id) == committed
    assert [one.seq - claim.first_seq async for one in engine.events(turn.id)] == [0, 1]


# --- numbers and texts that the database has no place for ---


@pytest.mark.parametrize("number", [2**31, 2**63, -(2**31) - 1, -(2**63) - 1])
async def test_positions_and_numbers_that_nothing_has_find_nothing_or_all(opened: Opener, number: int) -> None:
    engine = await opened()
    turn = (await engine.accept(first_turn())).turn
    behind = await engine.entries(turn.conversation, after=number)
    assert [entry.position for entry in behind] == ([] if number > 0 else [0])
    assert [one async for one in engine.events(turn.id, after=number, follow=False)] == []
    worker = await attached(engine)
    claim = await worker.claim()
    await engine.commit(claim, outcome(claim))
    events = [one.kind async for one in engine.events(turn.id, after=number)]
    assert events == ([] if number > 0 else ["finished"])


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_texts_that_postgresql_has_no_place_for_name_nothing(opened: Opener, text: str) -> None:
    engine = await opened()
    assert await engine.turns(key=text) == []
    assert await engine.lanes(key=text) == []
    assert await engine.cancel(text) is None
    assert await engine.conversation(text) is None
    assert not await engine.delete_conversation(text)
    accepted = await engine.accept(first_turn(text, idempotency_key=text))
    assert not (await engine.accept(first_turn(text, idempotency_key=text))).created
    turn = await engine.turn(accepted.turn.id)
    assert turn is not None
    assert turn.input == accepted.turn.input
