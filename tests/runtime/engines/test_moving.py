"""What one engine keeps arrives in another: there and back it is the same, as records and as engines show it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, LedgerEntry, NewTurn, TurnEvent
from turnlane.runtime.engine import Engine, EngineUnavailable, IdempotencyMismatch
from turnlane.runtime.engines.embedded import DATABASE, EmbeddedEngine
from turnlane.runtime.engines.moving import (
    BATCH,
    MoveFailed,
    MoveRefused,
    Restore,
    Store,
    TurnRecord,
    canonical,
    chunks_of,
    move,
    summary_of,
    without_owner,
)
from turnlane.runtime.engines.moving_sqlite import SqliteRestore, SqliteStore
from turnlane.runtime.engines.sqlite_schema import MIGRATIONS, open_for_writing
from turnlane.testing.scripted_worker import ScriptedWorker, event, first_turn, message, new_turn, outcome

from .stored_records import Holding, fill, held, holdings, many

if TYPE_CHECKING:
    from turnlane.testing.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio

SHORT = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass
class Place:
    """Where an engine keeps its turns: to be moved, or to be opened."""

    store: Store
    make_engine: Callable[[], Engine]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Engine]:
        engine = self.make_engine()
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()


MakePlace = Callable[[], Place]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakePlace:
    """Gives data folders that nothing is in yet."""
    numbers = iter(range(1000))

    def make() -> Place:
        folder = tmp_path / f"folder-{next(numbers)}"
        return Place(SqliteStore(folder), lambda: EmbeddedEngine(folder))

    return make


@pytest.fixture
def make_database(postgres_server: PostgresServer) -> Iterator[MakePlace]:
    """Gives databases with Turnlane's schema and nothing in it."""
    from turnlane.runtime.engines.postgres import schema
    from turnlane.runtime.engines.postgres.engine import PostgresEngine
    from turnlane.runtime.engines.postgres.moving import PostgresStore

    template = postgres_server.template("turnlane_ready", lambda url: asyncio.run(schema.migrate(url)))
    names: list[str] = []

    def make() -> Place:
        names.append(postgres_server.create_database(template=template))
        url = postgres_server.url(names[-1])
        return Place(PostgresStore(url), lambda: PostgresEngine(url, lease=5))

    yield make
    for name in names:
        postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def make_place(request: pytest.FixtureRequest) -> MakePlace:
    """The same for both kinds of engines."""
    made: MakePlace = request.getfixturevalue("make_folder" if request.param == "sqlite" else "make_database")
    return made


def as_moved(holding: Holding) -> Holding:
    return Holding(holding.conversations, [without_owner(turn, 7.0) for turn in holding.turns])


def assert_same(one: Holding, other: Holding) -> None:
    assert [canonical(record) for record in one.conversations] == [canonical(r) for r in other.conversations]
    assert [canonical(record) for record in one.turns] == [canonical(r) for r in other.turns]


# --- as records ---


def test_a_folder_gives_back_what_was_put_into_it(make_folder: MakePlace) -> None:
    @SHORT
    @given(holdings())
    def check(holding: Holding) -> None:
        store = make_folder().store
        asyncio.run(fill(store, holding))
        assert_same(asyncio.run(held(store)), holding)

    check()


def test_there_and_back_is_the_same(make_folder: MakePlace, make_database: MakePlace) -> None:
    @settings(SHORT, max_examples=8)
    @given(holdings())
    def check(holding: Holding) -> None:
        here, there, back = make_folder().store, make_database().store, make_folder().store

        async def moved() -> tuple[Holding, Holding]:
            await fill(here, as_moved(holding))
            assert await move(here, there) == await move(there, back)
            return await held(there), await held(back)

        for found in asyncio.run(moved()):
            assert_same(found, as_moved(holding))

    check()


@pytest.mark.parametrize("number", [0, 1, BATCH - 1, BATCH, 2 * BATCH + 3])
async def test_pages_have_no_gap(make_place: MakePlace, number: int) -> None:
    store = make_place().store
    await fill(store, many(number))
    assert_same(await held(store), many(number))


async def test_progress_comes_to_its_end(make_folder: MakePlace) -> None:
    here, there = make_folder().store, make_folder().store
    await fill(here, many(BATCH))
    told: list[tuple[int, int]] = []
    await move(here, there, lambda done, total: told.append((done, total)))
    # Each conversation and each turn is copied and then compared.
    assert told[-1] == (3 * BATCH, 3 * BATCH)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_events_are_kept_in_pieces_of_one_attempt() -> None:
    events = [TurnEvent(first + n, "text.delta", 0.0, {}) for first in (0, EVENTS_PER_ATTEMPT) for n in range(450)]
    chunks = list(chunks_of(events))
    assert [event for chunk in chunks for event in chunk] == events
    assert [len(chunk) for chunk in chunks] == [200, 200, 50] * 2
    assert all(len({event.attempt for event in chunk}) == 1 for chunk in chunks)


# --- what was running ---


def running(stop_asked: Any) -> TurnRecord:
    (record,) = many(1, status="running", attempt=2, stop_asked=stop_asked).turns
    return replace(record, events=[TurnEvent(EVENTS_PER_ATTEMPT + 3, "note", 0.0, {})])


def test_a_turn_that_ran_waits_again_and_its_next_event_has_a_higher_number() -> None:
    moved = without_owner(running(None), now=7.0)
    assert (moved.turn.status, moved.turn.attempt, moved.events_from) == ("queued", 2, 2 * EVENTS_PER_ATTEMPT)
    assert moved.events == running(None).events


@pytest.mark.parametrize(
    ("stop", "status", "code"),
    [
        ("cancel", "cancelled", "cancelled"),
        ("rollback", "cancelled", "rolled_back"),
        ("interrupt", "interrupted", ""),
    ],
)
def test_a_turn_that_was_to_stop_has_ended(stop: str, status: str, code: str) -> None:
    moved = without_owner(running(stop), now=7.0)
    assert (moved.turn.status, moved.turn.finished_at, moved.turn.stop_asked) == (status, 7.0, stop)
    assert (moved.turn.failure.code if moved.turn.failure else "") == code
    assert moved.events[-1] == TurnEvent(2 * EVENTS_PER_ATTEMPT, "finished", 7.0, {"status": status})
    assert moved.events_from == 2 * EVENTS_PER_ATTEMPT


# --- as engines show it ---


async def shown(engine: Engine) -> dict[str, Any]:
    """Everything that can be asked of an engine."""
    turns = await engine.turns(limit=10_000)
    conversations = {turn.conversation for turn in turns}
    return {
        "turns": turns,
        "events": {turn.id: [e async for e in engine.events(turn.id, follow=False)] for turn in turns},
        "superseded": {turn.id: await engine.superseded_events(turn.id) for turn in turns},
        "ledgers": {turn.id: await engine.ledger(turn.id) for turn in turns},
        "conversations": {id: await engine.conversation(id) for id in conversations},
        "entries": {id: await engine.entries(id) for id in conversations},
        "states": {id: await engine.state(id) for id in conversations},
        "lanes": await engine.lanes(),
        "stats": await engine.stats(),
    }


async def live_a_little(engine: Engine) -> dict[str, NewTurn]:
    """Turns of every kind, as clients and workers make them."""
    worker = ScriptedWorker()
    await engine.attach(worker)
    made: dict[str, NewTurn] = {}

    async def begun(name: str, **changes: Any) -> None:
        made[name] = first_turn(name, **changes)
        await engine.accept(made[name])
        claims[name] = await worker.claim()

    claims: dict[str, Any] = {}
    for name in ("completed", "failed", "interrupted", "needs_attention"):
        key = {"idempotency_key": f"key-{name}", "fingerprint": "f"}
        await begun(name, items=[message("before")], metadata={"a": "b"}, **key)
        await engine.record(claims[name], [LedgerEntry("tool", "begun", "digest", "call", name, once=True)])
        await engine.publish(claims[name], [event(claims[name], 0, "wörd\0")])
        await engine.commit(claims[name], outcome(claims[name], name, said=1))  # type: ignore[arg-type]
    follow_up = new_turn(made["completed"].conversation, "again")
    await engine.add_items(made["completed"].conversation, [message("in between")])
    await engine.accept(follow_up)
    again = await worker.claim()
    await engine.publish(again, [event(again, 0)])
    await engine.release(again)
    claims["running"] = await worker.claim()
    await engine.record(claims["running"], [LedgerEntry("model", "ended", "digest", "call", "m", answer={"x": 1})])
    made["running"] = follow_up
    await engine.publish(claims["running"], [event(claims["running"], 0)])
    conversation = made["completed"].conversation
    for name, changes in (
        ("queued", {}),
        ("joined", {"when_busy": "merge", "idempotency_key": "joining", "fingerprint": "j"}),
    ):
        made[name] = new_turn(conversation, name, **changes)
        await engine.accept(made[name])
    made["later"] = first_turn("later", when_busy="debounce", delay=3600.0)
    await engine.accept(made["later"])
    return made


async def crash(engine: Engine) -> None:
    await engine.crash()  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
async def test_engines_show_the_same_and_what_waited_runs(
    make_place: MakePlace, target: str, request: pytest.FixtureRequest
) -> None:
    here = make_place()
    there: Place = request.getfixturevalue("make_folder" if target == "sqlite" else "make_database")()
    async with here.opened() as engine:
        made = await live_a_little(engine)
        # What runs is given back, or its owner dies; PostgreSQL is not moved before a dead owner's lease is over.
        await (crash(engine) if isinstance(engine, EmbeddedEngine) else engine.close())
    await move(here.store, there.store)
    async with here.opened() as one, there.opened() as other:
        assert await shown(one) == await shown(other)
    async with there.opened() as engine:
        await goes_on(engine, made)


async def goes_on(engine: Engine, made: dict[str, NewTurn]) -> None:
    for name, key, fingerprint in (("completed", "key-completed", "f"), ("queued", "joining", "j")):
        repeat = first_turn(idempotency_key=key, fingerprint=fingerprint)
        assert (await engine.accept(repeat)).turn.id == made[name].id
        with pytest.raises(IdempotencyMismatch):
            await engine.accept(replace(repeat, fingerprint="other"))
    worker = ScriptedWorker()
    await engine.attach(worker)
    for name, attempt in (("running", 3), ("queued", 1)):
        claim = await worker.claim()
        assert (claim.turn.id, claim.attempt) == (made[name].id, attempt)
        assert claim.state is not None
        assert [entry.answer for entry in claim.ledger] == ([{"x": 1}] if name == "running" else [])
        await engine.commit(claim, outcome(claim))
    texts = [item["content"] for item in claim.turn.input]
    assert texts == ["queued", "joined"]
    assert [lane.conversation for lane in await engine.lanes()] == [made["later"].conversation]
    new = first_turn("a new one")
    await engine.accept(new)
    assert (await worker.claim()).turn.id == new.id
    assert [turn.id for turn in await engine.turns(limit=2)] == [new.id, made["later"].id]


# --- refusals ---


async def test_target_that_holds_something_is_refused(make_place: MakePlace) -> None:
    here, there = make_place().store, make_place().store
    await fill(here, many(1))
    await fill(there, many(3))
    with pytest.raises(MoveRefused, match="holds 2 conversations already: move into an empty"):
        await move(here, there)
    assert_same(await held(there), many(3))


async def test_folder_that_is_none_is_refused(tmp_path: Path, make_folder: MakePlace) -> None:
    target = make_folder().store
    with pytest.raises(MoveRefused, match=r"is no data folder: it has no turnlane\.db"):
        await move(SqliteStore(tmp_path / "nothing"), target)
    (tmp_path / "file").touch()
    source = make_folder().store
    await fill(source, many(1))
    with pytest.raises(MoveRefused, match="can't be made"):
        await move(source, SqliteStore(tmp_path / "file" / "folder"))


async def test_folder_of_a_server_that_runs_is_refused(make_folder: MakePlace) -> None:
    used, free = make_folder(), make_folder()
    await fill(free.store, many(1))
    async with used.opened():
        for source, target in ((used, free), (free, used)):
            with pytest.raises(EngineUnavailable, match="already open in this process"):
                await move(source.store, target.store)


async def test_database_that_is_used_is_refused(make_database: MakePlace, make_folder: MakePlace) -> None:
    used, free = make_database(), make_folder()
    await fill(free.store, many(1))
    async with used.opened() as engine:
        for source, target in ((used, free), (free, used)):
            with pytest.raises(MoveRefused, match=r"is used by turnlane .* pid \d+: stop what uses it"):
                await move(source.store, target.store)
        await crash(engine)
        with pytest.raises(MoveRefused, match=r"was used a moment ago .* move in \d s"):
            await move(used.store, free.store)


async def test_database_without_a_schema_is_no_source_but_a_target(
    postgres_url: str, make_folder: MakePlace
) -> None:
    from turnlane.runtime.engines.postgres.moving import PostgresStore

    here = make_folder().store
    with pytest.raises(MoveRefused, match="holds nothing of Turnlane"):
        await move(PostgresStore(postgres_url), here)
    await fill(here, many(2))
    await move(here, PostgresStore(postgres_url))
    assert_same(await held(PostgresStore(postgres_url)), many(2))


async def test_nobody_can_begin_to_use_a_database_while_it_is_moved(
    make_database: MakePlace, make_folder: MakePlace
) -> None:
    place = make_database()
    async with place.store.exported():
        opening = asyncio.ensure_future(place.make_engine().open())
        done, _ = await asyncio.wait({opening}, timeout=0.3)
        assert not done
    opening.cancel()
    await asyncio.wait({opening})


# --- nothing or all ---


class Forgetful:
    """A store that loses an event on the way."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    @asynccontextmanager
    async def restored(self) -> AsyncIterator[Restore]:
        async with self._store.restored() as restore:
            assert isinstance(restore, SqliteRestore)
            add = restore.add_turns

            async def lossy(turns: Sequence[TurnRecord]) -> None:
                await add([replace(turn, events=()) for turn in turns])

            restore.add_turns = lossy  # type: ignore[method-assign]
            yield restore

    exported = SqliteStore.exported


async def test_what_is_lost_is_noticed_and_the_target_stays_empty(tmp_path: Path, make_folder: MakePlace) -> None:
    here, target = make_folder().store, SqliteStore(tmp_path / "target")
    lossy = many(2)
    lossy.turns = [replace(turn, events=[TurnEvent(0, "note", 0.0, {})]) for turn in lossy.turns]
    await fill(here, lossy)
    with pytest.raises(MoveFailed, match="0 instead of 2 events"):
        await move(here, Forgetful(target))  # type: ignore[arg-type]
    assert_same(await held(target), many(0))
    await move(here, target)


async def test_move_that_breaks_leaves_the_target_empty(make_place: MakePlace, make_folder: MakePlace) -> None:
    here, there = make_folder().store, make_place().store
    broken = many(3)
    # Two turns in one place can't be; the second turn is refused when the first is already written.
    broken.turns = [broken.turns[0], replace(broken.turns[1], turn=broken.turns[0].turn)]
    with pytest.raises(Exception, match=r"UNIQUE|duplicate"):
        await fill(there, broken)
    await fill(here, many(3))
    await move(here, there)


async def test_source_is_left_as_it_was_also_when_its_schema_is_older(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    connection = open_for_writing(folder / DATABASE, MIGRATIONS[:1])
    connection.execute("INSERT INTO conversation VALUES (1, 'conv_1', 'local', 'echo', '{}', 1.0)")
    connection.execute(
        """INSERT INTO turn VALUES (1, 'resp_1', 1, 0, 'echo', 'local', 'running', 2, 0, 1, 1.0, 2.0, NULL,
        'k', 'f', '{"input":[]}', NULL)"""
    )
    connection.close()
    before = dump(folder)
    target = SqliteStore(tmp_path / "new")
    await move(SqliteStore(folder), target)
    assert dump(folder) == before
    (turn,) = (await held(target)).turns
    assert (turn.turn.status, turn.turn.stop_asked, turn.fingerprint) == ("cancelled", "cancel", "f")


def dump(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / DATABASE)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()
        return [*connection.iterdump(), str(version)]
    finally:
        connection.close()


async def test_summary_tells_every_change(make_folder: MakePlace) -> None:
    async def digest(holding: Holding) -> str:
        store = make_folder().store
        await fill(store, holding)
        async with store.exported() as export:
            return (await summary_of(export)).digest

    plain = many(2)
    changed = [
        many(2, status="failed"),
        many(2, metadata={"a": "b"}),
        Holding(plain.conversations, list(reversed(plain.turns))),
        Holding(plain.conversations, [replace(turn, fingerprint="f") for turn in plain.turns]),
        Holding([replace(plain.conversations[0], state={"kind": "k"}, absorbed=0)], plain.turns),
        Holding([replace(plain.conversations[0], items=[(7, {"id": "x"})])], plain.turns),
    ]
    digests = [await digest(holding) for holding in (plain, *changed)]
    assert len(set(digests)) == len(digests)
