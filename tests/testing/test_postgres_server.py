"""PostgreSQL for tests: starts, stops, dies and freezes as told, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest

from turnlane.testing.postgres_server import (
    SUPPORTED,
    PostgresFailed,
    PostgresMissing,
    PostgresServer,
    StopMode,
    programs,
)

PATIENCE = 20.0

every_version = pytest.mark.parametrize("postgres_server", SUPPORTED, indirect=True, ids=str)


@pytest.fixture(scope="module")
def server_of_this_file() -> Iterator[PostgresServer]:
    with PostgresServer(fsync=False) as server:
        yield server


@pytest.fixture
def own_server(server_of_this_file: PostgresServer) -> Iterator[PostgresServer]:
    """One that a test may hurt."""
    settings = dict(server_of_this_file.settings)
    yield server_of_this_file
    server_of_this_file.kill()
    server_of_this_file.settings = settings
    server_of_this_file.start()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


def alive(pid: int) -> bool:
    """A zombie that nobody has waited for yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_dead(pids: list[int]) -> None:
    with anyio.fail_after(PATIENCE):
        while any(map(alive, pids)):
            await anyio.sleep(0.01)


@every_version
def test_each_supported_version_starts(postgres_server: PostgresServer) -> None:
    [(version,)] = postgres_server.execute("SHOW server_version_num")
    assert int(version) // 10_000 == postgres_server.version


@every_version
def test_a_fresh_database_has_nothing_in_it(postgres_server: PostgresServer) -> None:
    used, fresh = postgres_server.create_database(), postgres_server.create_database()
    postgres_server.execute("CREATE TABLE t (a int)", database=used)
    assert postgres_server.execute("SELECT to_regclass('t')::text", database=fresh) == [(None,)]
    for name in (used, fresh):
        postgres_server.drop_database(name)


def test_a_copy_of_a_template_has_what_was_prepared_once(postgres_server: PostgresServer) -> None:
    prepared: list[str] = []

    def prepare(url: str) -> None:
        prepared.append(url)
        postgres_server.execute("CREATE TABLE t AS SELECT 7 AS a", database=url.rpartition("/")[2])

    copies = [
        postgres_server.create_database(template=postgres_server.template("prepared", prepare)) for _ in "ab"
    ]
    assert [postgres_server.execute("SELECT a FROM t", database=copy) for copy in copies] == [[(7,)], [(7,)]]
    assert len(prepared) == 1
    for name in copies:
        postgres_server.drop_database(name)


# --- what a test may do to it ---


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_what_was_committed_is_there_after_a_stop_and_a_start(own_server: PostgresServer, mode: StopMode) -> None:
    own_server.execute("CREATE TABLE t AS SELECT 7 AS a")
    own_server.stop(mode)
    assert own_server.pid is None
    own_server.start()
    assert own_server.execute("SELECT a FROM t") == [(7,)]
    own_server.execute("DROP TABLE t")


def test_what_was_committed_is_there_after_all_its_processes_were_killed(own_server: PostgresServer) -> None:
    own_server.execute("CREATE TABLE t AS SELECT 7 AS a")
    processes = own_server.processes()
    own_server.kill()
    assert not any(map(alive, processes))
    own_server.start()
    assert own_server.execute("SELECT a FROM t") == [(7,)]
    own_server.execute("DROP TABLE t")


def test_a_restart_takes_changed_settings(own_server: PostgresServer) -> None:
    own_server.settings["max_connections"] = 7
    own_server.restart()
    assert own_server.execute("SHOW max_connections") == [("7",)]


def test_a_server_that_can_not_start_says_why(own_server: PostgresServer) -> None:
    own_server.settings["shared_buffers"] = "nonsense"
    with pytest.raises(PostgresFailed, match="nonsense"):
        own_server.restart()


@pytest.mark.anyio
async def test_the_backends_of_one_database_are_found_and_killed(own_server: PostgresServer) -> None:
    one, other = own_server.create_database(), own_server.create_database()
    async with connected(own_server.url(one)) as first, connected(own_server.url(other)) as second:
        pids = {await first.fetchval("SELECT pg_backend_pid()"), await second.fetchval("SELECT pg_backend_pid()")}
        assert set(own_server.backends()) == pids
        assert own_server.backends(one) == [first.get_server_pid()]
        assert own_server.kill_backends(one) == 1
        await until_dead(list(pids))


@pytest.mark.anyio
async def test_a_paused_server_answers_when_it_is_resumed(own_server: PostgresServer) -> None:
    async with connected(own_server.url()) as connection:
        own_server.pause()
        answer = asyncio.ensure_future(connection.fetchval("SELECT 7"))
        done, _ = await asyncio.wait([answer], timeout=0.1)
        assert not done
        own_server.resume()
        with anyio.fail_after(PATIENCE):
            assert await answer == 7


@pytest.mark.anyio
async def test_one_backend_can_be_paused_while_the_others_go_on(own_server: PostgresServer) -> None:
    async with connected(own_server.url()) as paused, connected(own_server.url()) as other:
        own_server.pause(paused.get_server_pid())
        answer = asyncio.ensure_future(paused.fetchval("SELECT 7"))
        with anyio.fail_after(PATIENCE):
            assert await other.fetchval("SELECT 8") == 8
        assert not answer.done()
        own_server.resume(paused.get_server_pid())
        with anyio.fail_after(PATIENCE):
            assert await answer == 7


@pytest.mark.anyio
async def test_a_user_has_to_give_the_password(own_server: PostgresServer) -> None:
    own_server.create_user("ada", "s3cret: @/")
    async with connected(own_server.url(user="ada", password="s3cret: @/")) as connection:
        assert await connection.fetchval("SELECT current_user") == "ada"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_server.url(user="ada", password="wrong"))


def test_a_standby_follows_and_takes_over(own_server: PostgresServer) -> None:
    own_server.execute("CREATE TABLE t AS SELECT 7 AS a")
    with own_server.standby() as standby:
        own_server.execute("INSERT INTO t VALUES (8)")
        own_server.wait_for_followers()
        own_server.stop("fast")
        standby.promote()
        standby.execute("INSERT INTO t VALUES (9)")
        assert standby.execute("SELECT a FROM t ORDER BY a") == [(7,), (8,), (9,)]


# --- nothing is left behind ---


def test_a_closed_server_leaves_neither_processes_nor_files() -> None:
    with PostgresServer(fsync=False) as server:
        processes, folder = server.processes(), server.folder
    assert not any(map(alive, processes))
    assert not folder.exists()


ABANDON = """
import sys
from turnlane.testing.postgres_server import PostgresServer
server = PostgresServer(fsync=False).start()
processes = server.processes()
if sys.argv[1] == "frozen":
    server.pause()
if sys.argv[1] == "stopped":
    server.stop()
print(server.folder, *processes, flush=True)
sys.stdin.read()
"""


@pytest.mark.anyio
@pytest.mark.parametrize("state", ["running", "frozen", "stopped"])
async def test_a_killed_test_run_leaves_neither_processes_nor_files(state: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ABANDON, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as abandoning:
        assert abandoning.stdout is not None
        folder, *pids = (await anyio.to_thread.run_sync(abandoning.stdout.readline)).split()
        assert Path(folder).exists()
        abandoning.send_signal(signal.SIGKILL)
    await until_dead([int(pid) for pid in pids])
    with anyio.fail_after(PATIENCE):
        while Path(folder).exists():
            await anyio.sleep(0.01)


def test_a_version_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(PostgresMissing, match="apt-get install postgresql-9"):
        programs(9)
