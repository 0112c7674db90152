"""The network between an engine and its database is cut, refused, silent or slow."""

from __future__ import annotations

import anyio
import pytest

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, outcome
from turnlane.testing.tcp_proxy import Directions, TcpProxy

from .conftest import Opener
from .traffic import Traffic, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(server: PostgresServer, database: str, proxy: TcpProxy) -> str:
    return server.url(database, port=proxy.port)


async def test_traffic_goes_on_after_every_cut(url: str, proxy: TcpProxy, open_engine: Opener) -> None:
    async with Traffic(await open_engine(url)) as traffic:
        for _ in range(5):
            assert proxy.cut() > 0
            await traffic.flows(5)


async def test_refused_connections_are_an_outage_told_once(url: str, proxy: TcpProxy, open_engine: Opener) -> None:
    engine = await open_engine(url)
    async with Traffic(engine) as traffic:
        proxy.refuse()
        await until(lambda: "can't be reached" in str(engine.trouble), "the engine says what is wrong")
        proxy.resume()
        await traffic.flows()
        await until(lambda: engine.trouble is None, "the trouble is over")
        assert [name for name in traffic.told if name.startswith("engine.")] == ["engine.trouble", "engine.back"]


@pytest.mark.parametrize("way", ["to_server", "to_client", "both"])
async def test_a_silent_line_is_an_outage_and_turns_wait(
    url: str, proxy: TcpProxy, open_engine: Opener, impatient: None, way: Directions
) -> None:
    engine = await open_engine(url)
    async with Traffic(engine) as traffic:
        proxy.silence(way)
        await until(lambda: "does not answer" in str(engine.trouble), "the engine says what is wrong")
        with anyio.fail_after(5.0), pytest.raises(EngineUnavailable, match="does not answer"):
            await engine.accept(first_turn())
        proxy.resume()
        await traffic.flows()


async def test_answers_that_get_lost_double_nothing(
    url: str, proxy: TcpProxy, open_engine: Opener, impatient: None
) -> None:
    """The database commits, and the engine never hears of it."""
    engine = await open_engine(url)
    async with Traffic(engine) as traffic:
        for _ in range(3):
            proxy.silence("to_client")
            # So long that every user's message and every result is on its way.
            await anyio.sleep(0.1)
            proxy.cut()
            proxy.resume()
            await traffic.flows(5)


async def test_a_slow_line_is_no_outage(url: str, proxy: TcpProxy, open_engine: Opener) -> None:
    engine = await open_engine(url)
    async with Traffic(engine) as traffic:
        proxy.delay(0.02)
        await traffic.flows(10)
        assert traffic.told.count("engine.trouble") == 0


async def test_a_line_that_is_silent_from_the_start_is_refused_in_bounded_time(
    url: str, proxy: TcpProxy, impatient: None
) -> None:
    proxy.silence()
    engine = PostgresEngine(url)
    with anyio.fail_after(5.0), pytest.raises(EngineUnavailable, match="does not answer"):
        await engine.open()
    await engine.close()


async def test_no_password_is_shown(
    server: PostgresServer, database: str, proxy: TcpProxy, open_engine: Opener, impatient: None
) -> None:
    engine = await open_engine(server.url(database, password="s3cret", port=proxy.port))
    proxy.refuse()
    await until(lambda: engine.trouble, "the engine says that it is in trouble")
    with pytest.raises(EngineUnavailable) as refused:
        await engine.accept(first_turn())
    assert "s3cret" not in f"{engine.trouble} {refused.value} {engine!r}"


async def test_a_claim_of_which_this_process_never_heard_is_given_back(
    server: PostgresServer, database: str, url: str, proxy: TcpProxy, open_engine: Opener
) -> None:
    """The database has made it the owner, and the answer got lost: nobody runs the turn, and nobody is dead."""
    front, behind = await open_engine(server.url(database)), await open_engine(url)
    worker = ScriptedWorker()
    await behind.attach(worker)
    new = first_turn()
    proxy.delay(0.3, "to_client")
    await front.accept(new)
    await until(
        lambda: server.execute("SELECT FROM turnlane.work WHERE status = 'running'", database=database),
        "the turn is claimed",
    )
    proxy.cut()
    proxy.resume()
    claim = await worker.claim()
    assert (claim.turn.id, claim.attempt) == (new.id, 2)
    ended = await behind.commit(claim, outcome(claim))
    assert ended.status == "completed"
