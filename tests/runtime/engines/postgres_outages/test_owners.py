"""At most one owner, also when owners and their database don't hear of each other for longer than a lease."""

from __future__ import annotations

import anyio
import pytest

from turnlane.runtime.engine import OwnershipLost
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, outcome
from turnlane.testing.tcp_proxy import TcpProxy

from .conftest import LEASE, Opener

pytestmark = pytest.mark.anyio


async def test_an_owner_that_is_cut_off_lets_go_before_another_takes_over(
    server: PostgresServer, database: str, proxy: TcpProxy, open_engine: Opener
) -> None:
    far, near = await open_engine(server.url(database, port=proxy.port)), await open_engine(server.url(database))
    old, new = ScriptedWorker(), ScriptedWorker()
    await far.attach(old)
    turn = (await near.accept(first_turn())).turn
    claim = await old.claim()
    await near.attach(new)
    proxy.silence()
    again = await new.claim()
    assert (again.turn.id, again.attempt) == (turn.id, 2)
    assert old.lost_ones.get_nowait() == (turn.id, 1)
    with pytest.raises(OwnershipLost):
        await far.commit(claim, outcome(claim))
    await near.commit(again, outcome(again))


async def test_who_comes_back_takes_no_turn_before_others_know_that_it_lives(
    server: PostgresServer, database: str, proxy: TcpProxy, open_engine: Opener
) -> None:
    far, near = await open_engine(server.url(database, port=proxy.port)), await open_engine(server.url(database))
    worker, nobody = ScriptedWorker(), ScriptedWorker(capacity=0)
    await far.attach(worker)
    await near.attach(nobody)
    proxy.silence()
    await anyio.sleep(1.2 * LEASE)
    await near.accept(first_turn())
    proxy.resume()
    claim = await worker.claim()
    await anyio.sleep(LEASE)  # two looks of the other one
    assert worker.lost_ones.empty()
    assert (await far.commit(claim, outcome(claim))).attempt == 1


async def test_nobody_takes_over_only_because_the_database_was_away(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    """Everybody was silent for longer than a lease, and everybody comes back: each turn has one owner."""
    engines = [await open_engine(server.url(database)) for _ in range(2)]
    workers = [ScriptedWorker() for _ in engines]
    for engine, worker in zip(engines, workers, strict=True):
        await engine.attach(worker)
    server.pause()
    await anyio.sleep(1.3 * LEASE)
    server.resume()
    turn = (await engines[0].accept(first_turn())).turn
    await anyio.sleep(1.5 * LEASE)
    claims = [worker.claims.get_nowait() for worker in workers if not worker.claims.empty()]
    assert [(claim.turn.id, claim.attempt) for claim in claims] == [(turn.id, 1)]


async def test_what_was_claimed_while_its_owner_said_goodbye_is_run_by_another(
    server: PostgresServer, database: str, proxy: TcpProxy, open_engine: Opener
) -> None:
    """Its last claim was committed after it had signed off: nobody is there whose death could be noticed."""
    far, near = await open_engine(server.url(database, port=proxy.port)), await open_engine(server.url(database))
    old, new = ScriptedWorker(), ScriptedWorker()
    await far.attach(old)
    await near.accept(first_turn())
    claim = await old.claim()
    proxy.refuse()
    server.execute(
        "DELETE FROM turnlane.process WHERE n IN (SELECT process FROM turnlane.work)", database=database
    )
    await near.attach(new)
    with anyio.fail_after(4 * LEASE):
        again = await new.claim()
    assert (again.turn.id, again.attempt) == (claim.turn.id, 2)
