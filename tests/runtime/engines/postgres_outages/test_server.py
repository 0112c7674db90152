"""The server stops, dies, freezes and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import anyio
import asyncpg
import pytest

from turnlane.runtime.engine import Engine, EngineUnavailable
from turnlane.runtime.engines.postgres import connection
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.scripted_worker import ScriptedWorker, event, first_turn, outcome

from .conftest import LEASE, Opener
from .traffic import AGAIN, PATIENCE, EchoWorker, Traffic, patiently, until

pytestmark = pytest.mark.anyio


def restarted(server: PostgresServer) -> None:
    server.restart("fast")


def stopped_at_once(server: PostgresServer) -> None:
    server.restart("immediate")


def killed(server: PostgresServer) -> None:
    server.kill()
    server.start()


def backends_killed(server: PostgresServer) -> None:
    assert server.kill_backends() > 0


@pytest.mark.parametrize("fault", [restarted, stopped_at_once, killed, backends_killed])
async def test_traffic_goes_on_when_the_server_is(
    server: PostgresServer, database: str, open_engine: Opener, fault: Callable[[PostgresServer], None]
) -> None:
    async with Traffic(await open_engine(server.url(database))) as traffic:
        await anyio.to_thread.run_sync(fault, server)
        await traffic.flows()


async def test_an_outage_is_told_once_and_its_end_once(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    engine = await open_engine(server.url(database))
    async with Traffic(engine) as traffic:
        await anyio.to_thread.run_sync(server.stop)
        await until(lambda: "can't be reached" in str(engine.trouble), "the engine says what is wrong")
        await anyio.to_thread.run_sync(server.start)
        await traffic.flows()
        await until(lambda: engine.trouble is None, "the trouble is over")
        assert [name for name in traffic.told if name.startswith("engine.")] == ["engine.trouble", "engine.back"]


async def test_whoever_asks_meets_one_clear_sentence_in_bounded_time(
    server: PostgresServer, database: str, open_engine: Opener, impatient: None
) -> None:
    engine = await open_engine(server.url(database))
    await anyio.to_thread.run_sync(server.stop)
    new = first_turn()
    for call in (
        lambda: engine.accept(new),
        lambda: engine.turn(new.id),
        lambda: engine.cancel(new.id),
        lambda: engine.turns(),
        lambda: engine.entries(new.conversation),
        lambda: engine.stats(),
        lambda: engine.wait(new.id, timeout=1.0),
    ):
        with anyio.fail_after(3.0), pytest.raises(EngineUnavailable, match="PostgreSQL at"):
            await call()


async def test_results_made_during_an_outage_longer_than_the_lease_are_there_after_it(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    async with Traffic(await open_engine(server.url(database))) as traffic:
        await anyio.to_thread.run_sync(server.stop)
        await anyio.sleep(LEASE * 1.5)
        await anyio.to_thread.run_sync(server.start)
        await traffic.flows()


async def test_another_process_goes_on_with_what_was_under_way(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    url = server.url(database)
    first, second = await open_engine(url), await open_engine(url)
    async with Traffic(second) as traffic:
        gone = EchoWorker(first)
        await first.attach(gone)
        await traffic.flows()
        await anyio.to_thread.run_sync(server.stop)
        await gone.end()
        await first.crash()
        await anyio.to_thread.run_sync(server.start)
        await traffic.flows()


async def test_a_frozen_server_is_an_outage_until_it_wakes(
    server: PostgresServer, database: str, open_engine: Opener, impatient: None
) -> None:
    engine = await open_engine(server.url(database))
    async with Traffic(engine) as traffic:
        server.pause()
        await until(lambda: engine.trouble, "the engine says that it is in trouble")
        assert "does not answer" in str(engine.trouble)
        server.resume()
        await traffic.flows()


@pytest.mark.parametrize("which", range(3))
async def test_one_lost_connection_is_no_outage_for_long(
    server: PostgresServer, database: str, open_engine: Opener, which: int
) -> None:
    async with Traffic(await open_engine(server.url(database))) as traffic:
        backends = sorted(server.backends(database))
        server.execute("SELECT pg_terminate_backend($1)", backends[which % len(backends)])
        await traffic.flows()


async def test_a_lock_of_somebody_else_holds_turns_up_and_loses_none(
    server: PostgresServer, database: str, open_engine: Opener, impatient: None
) -> None:
    engine = await open_engine(server.url(database))
    async with Traffic(engine) as traffic:
        other = await asyncpg.connect(server.url(database))
        try:
            async with other.transaction():
                await other.execute("LOCK TABLE turnlane.turn IN ACCESS EXCLUSIVE MODE")
                await until(lambda: engine.trouble, "the engine says that it is in trouble")
        finally:
            await other.close()
        await traffic.flows()


async def test_a_reader_misses_nothing_over_a_restart(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    engine = await open_engine(server.url(database))
    worker = ScriptedWorker()
    await engine.attach(worker)
    new = first_turn()
    await engine.accept(new)
    claim = await worker.claim()
    reader = asyncio.ensure_future(read(engine, new.id))
    for offset in range(20):
        if offset == 10:
            await anyio.to_thread.run_sync(server.restart)
        await patiently(lambda offset=offset: engine.publish(claim, [event(claim, offset)]))
    await patiently(lambda: engine.commit(claim, outcome(claim, said=20)))
    with anyio.fail_after(PATIENCE):
        assert await reader == list(range(21))


async def read(engine: Engine, turn: str) -> list[int]:
    """As a client does: it comes back with the last number that it saw."""
    seen: list[int] = []
    while True:
        try:
            async for one in engine.events(turn, after=seen[-1] if seen else -1):
                seen.append(one.seq)
        except EngineUnavailable:
            await asyncio.sleep(AGAIN)
        else:
            return seen


async def test_closing_does_not_wait_for_a_database_that_is_away(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    engine = await open_engine(server.url(database))
    await engine.attach(ScriptedWorker())
    await anyio.to_thread.run_sync(server.stop)
    with anyio.fail_after(5.0):
        await engine.close()


async def test_a_server_that_takes_no_writes_for_a_while_is_an_outage(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    """As a primary that was made a standby under open connections."""
    engine = await open_engine(server.url(database))
    async with Traffic(engine) as traffic:
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        server.execute("SELECT pg_reload_conf()")
        await until(lambda: "can't be written" in str(engine.trouble), "the engine says what is wrong")
        server.execute("ALTER SYSTEM RESET default_transaction_read_only")
        server.execute("SELECT pg_reload_conf()")
        await traffic.flows()


async def test_a_process_that_was_frozen_in_a_transaction_goes_on(
    server: PostgresServer, database: str, open_engine: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = connection._SESSION.replace("'idle_in_transaction_session_timeout', '3s'", _SHORT)
    assert _SHORT in short
    monkeypatch.setattr(connection, "_SESSION", short)
    async with Traffic(await open_engine(server.url(database))) as traffic:
        ended = server.log.read_text().count("idle-in-transaction timeout")
        while server.log.read_text().count("idle-in-transaction timeout") == ended:
            time.sleep(0.2)  # nothing runs in this process
            await traffic.flows(1)
        await traffic.flows()


_SHORT = "'idle_in_transaction_session_timeout', '50ms'"


async def test_a_database_that_was_dropped_is_named(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    engine = await open_engine(server.url(database))
    await anyio.to_thread.run_sync(server.drop_database, database)
    await until(lambda: "there is no such database" in str(engine.trouble), "the engine says what is missing")
