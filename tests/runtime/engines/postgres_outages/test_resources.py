"""The database runs out of connections or of disk, is in somebody else's hands, or hands over to another."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.testing.pooler import Pooler, PoolMode
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.scripted_worker import first_turn

from .conftest import READY, Opener, running
from .traffic import Traffic, until

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20


# --- connections ---


@asynccontextmanager
async def all_connections_of(server: PostgresServer) -> AsyncIterator[None]:
    """Takes every connection that is free."""
    async with AsyncExitStack() as stack:
        while True:
            try:
                connection = await asyncpg.connect(server.url())
            except asyncpg.TooManyConnectionsError:
                break
            stack.callback(connection.terminate)
        yield


async def test_no_connection_left_is_an_outage(server: PostgresServer, database: str, open_engine: Opener) -> None:
    server.settings["max_connections"] = 30
    await anyio.to_thread.run_sync(server.restart)
    engine = await open_engine(server.url(database))
    async with Traffic(engine) as traffic:
        async with all_connections_of(server):
            for pid in server.backends(database):
                os.kill(pid, 15)
            async with all_connections_of(server):
                await until(lambda: "max_connections" in str(engine.trouble), "the engine says what is wrong")
        await traffic.flows()


async def test_no_connection_at_the_start_is_said(server: PostgresServer, database: str) -> None:
    server.settings["max_connections"] = 10
    await anyio.to_thread.run_sync(server.restart)
    engine = PostgresEngine(server.url(database))
    async with all_connections_of(server):
        with pytest.raises(EngineUnavailable, match="max_connections"):
            await engine.open()
    await engine.close()


# --- disk ---


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 64 MB that PostgreSQL may write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="turnlane-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=777", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def fill(disk: Path) -> Path:
    """Take what is free; returns the file to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * MEGABYTE)
        except OSError:
            return filler


async def test_a_full_disk_is_an_outage_until_there_is_space(small_disk: Path, open_engine: Opener) -> None:
    with running() as server:
        place = small_disk / "tables"
        place.mkdir(mode=0o700)
        subprocess.run(["chown", "nobody:", str(place)], check=True)
        server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        server.execute(f"CREATE DATABASE small TEMPLATE {READY} TABLESPACE small")
        engine = await open_engine(server.url("small"))
        async with Traffic(engine) as traffic:
            filler = await anyio.to_thread.run_sync(fill, small_disk)
            await until(lambda: "is full" in str(engine.trouble), "the engine says what is wrong")
            with pytest.raises(EngineUnavailable, match="is full"):
                await engine.accept(first_turn("x" * MEGABYTE))
            filler.unlink()
            await traffic.flows()
        await engine.close()


# --- another server takes over ---


async def test_a_standby_takes_over(open_engine: Opener) -> None:
    with running() as primary, primary.standby() as standby:
        # Accepted means durable on the standby, too: what a commit waits for.
        primary.settings["synchronous_standby_names"] = "*"
        primary.restart()
        url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/small"
        primary.execute(f"CREATE DATABASE small TEMPLATE {READY}")
        engine = await open_engine(f"{url}?target_session_attrs=read-write")
        async with Traffic(engine) as traffic:
            await anyio.to_thread.run_sync(primary.kill)
            await until(lambda: engine.trouble, "the engine says that it is in trouble")
            await anyio.to_thread.run_sync(standby.promote)
            await traffic.flows()
        await engine.close()


async def test_a_standby_is_refused_by_name() -> None:
    with running() as primary, primary.standby() as standby:
        engine = PostgresEngine(standby.url(READY))
        with pytest.raises(EngineUnavailable, match="is a standby"):
            await engine.open()
        await engine.close()


# --- a pooler in between ---


async def test_traffic_goes_through_a_pooler_in_session_mode(
    server: PostgresServer,
    database: str,
    open_engine: Opener,
    open_pooler: Callable[[PostgresServer, PoolMode], Pooler],
) -> None:
    async with Traffic(await open_engine(open_pooler(server, "session").url(database))) as traffic:
        await traffic.flows()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_in_another_mode_is_refused_with_one_sentence(
    server: PostgresServer,
    database: str,
    open_pooler: Callable[[PostgresServer, PoolMode], Pooler],
    mode: PoolMode,
) -> None:
    engine = PostgresEngine(open_pooler(server, mode).url(database))
    with anyio.fail_after(10.0), pytest.raises(EngineUnavailable, match="session"):
        await engine.open()
    await engine.close()


# --- rights ---


async def test_a_user_who_may_not_make_the_schema_is_told_what_to_do(server: PostgresServer) -> None:
    empty = server.create_database()
    server.create_user("ada", "s3cret")
    engine = PostgresEngine(server.url(empty, user="ada", password="s3cret"))
    with pytest.raises(EngineUnavailable, match="turnlane migrate"):
        await engine.open()
    await engine.close()


async def test_a_user_who_may_not_use_the_schema_is_told_what_to_do(server: PostgresServer, database: str) -> None:
    server.create_user("bob", "s3cret")
    engine = PostgresEngine(server.url(database, user="bob", password="s3cret"))
    with pytest.raises(EngineUnavailable, match="may not do this"):
        await engine.open()
    await engine.close()


async def test_a_wrong_password_is_told_without_showing_it(server: PostgresServer, database: str) -> None:
    server.create_user("eve", "s3cret")
    engine = PostgresEngine(server.url(database, user="eve", password="wr0ng"))
    with pytest.raises(EngineUnavailable, match="refuses the user or password") as refused:
        await engine.open()
    assert "wr0ng" not in str(refused.value)
    await engine.close()


async def test_rights_taken_away_are_named_and_turns_wait(
    server: PostgresServer, database: str, open_engine: Opener
) -> None:
    server.execute("CREATE ROLE owner LOGIN")
    server.execute(f"ALTER DATABASE {database} OWNER TO owner")
    server.execute("GRANT ALL ON SCHEMA turnlane, pgmq TO owner", database=database)
    for schema in ("turnlane", "pgmq"):
        server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO owner", database=database)
        server.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO owner", database=database)
    engine = await open_engine(server.url(database, user="owner"))
    async with Traffic(engine) as traffic:
        server.execute("REVOKE ALL ON turnlane.turn FROM owner", database=database)
        await until(lambda: "may not do this" in str(engine.trouble), "the engine says what is wrong")
        server.execute("GRANT ALL ON turnlane.turn TO owner", database=database)
        await traffic.flows()
