"""The embedded engine against the world: other processes, kill -9, full disks, wrong files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlane.runtime.conversation import LedgerEntry, NewTurn, Outcome
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.engines.sqlite_schema import MIGRATIONS, open_for_writing
from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, message, new_turn, outcome

pytestmark = pytest.mark.anyio

Opener = Callable[[Path], Awaitable[EmbeddedEngine]]


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A real process that runs `program`, a piece of Python."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise AssertionError(f"the process said nothing: {process.communicate()[1]}")
    return line


# --- one process a folder ---

HOLDER = """
    import asyncio, sys
    from pathlib import Path
    from turnlane.runtime.engines.embedded import EmbeddedEngine

    async def main():
        engine = EmbeddedEngine(Path(sys.argv[1]))
        await engine.open()
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

    asyncio.run(main())
"""


async def test_a_second_process_is_told_who_has_the_folder_and_a_dead_one_has_it_no_more(
    tmp_path: Path, opened: Opener
) -> None:
    holder = start(HOLDER, tmp_path)
    try:
        assert first_line(holder) == "open"
        with pytest.raises(EngineUnavailable, match=rf"pid {holder.pid}\).*choose another"):
            await opened(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    engine = await opened(tmp_path)
    await engine.close()


async def test_the_same_process_gets_the_folder_once(tmp_path: Path, opened: Opener) -> None:
    engine = await opened(tmp_path)
    with pytest.raises(EngineUnavailable, match="already open in this process"):
        await opened(tmp_path)
    await engine.accept(first_turn())  # the first is none the worse for it
    await engine.close()
    await (await opened(tmp_path)).close()


# --- kill -9 ---

BUSY = """
    import asyncio, sys
    from pathlib import Path
    from turnlane.runtime.conversation import Outcome, SavedState
    from turnlane.runtime.engines.embedded import EmbeddedEngine
    from turnlane.testing.scripted_worker import ScriptedWorker, first_turn, new_turn, outcome

    async def main():
        engine = EmbeddedEngine(Path(sys.argv[1]))
        await engine.open()
        worker = ScriptedWorker(capacity=10)
        await engine.attach(worker)

        async def run():
            while True:
                claim = await worker.claims.get()
                turn = await engine.commit(claim, outcome(claim))
                print("committed", turn.id, flush=True)

        async def talk():
            while True:
                new = first_turn()
                for _ in range(5):
                    await engine.accept(new)
                    print("accepted", new.id, flush=True)
                    new = new_turn(new.conversation)

        await asyncio.gather(*(talk() for _ in range(5)), *(run() for _ in range(3)))

    asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 60, 500])
async def test_what_a_killed_process_had_promised_is_there(tmp_path: Path, opened: Opener, lines: int) -> None:
    process = start(BUSY, tmp_path)
    said = [first_line(process) for _ in range(lines)]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    said += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    engine = await opened(tmp_path)
    worker = ScriptedWorker(capacity=100_000)
    statuses = {turn.id: turn.status for turn in await engine.turns(limit=1_000_000)}
    for verb, turn in (line.split() for line in said):
        assert turn in statuses, "accepted and lost"
        assert verb == "accepted" or statuses[turn] == "completed", "committed and lost"
    assert "running" not in statuses.values()
    # What had not ended runs to its end, without overlap and in order (the promises), until nothing is left.
    await engine.attach(worker)
    for _ in range(sum(status == "queued" for status in statuses.values())):
        claim = await worker.claim()
        await engine.commit(claim, outcome(claim))
    assert {turn.status for turn in await engine.turns(limit=1_000_000)} == {"completed"}
    await engine.close()


# --- a full disk ---


def large_turn(size: int) -> NewTurn:
    return first_turn("x" * size)


async def test_on_a_full_database_accepts_are_refused_and_it_goes_on_when_there_is_room(
    tmp_path: Path, opened: Opener
) -> None:
    engine = await opened(tmp_path)
    worker = ScriptedWorker(capacity=1)
    await engine.attach(worker)
    first = first_turn()
    await engine.accept(first)
    claim = await worker.claim()

    async def limit(pages: int) -> None:
        await engine._writer.submit(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    await limit(1)  # SQLite makes it as many as there are
    refused = large_turn(50_000)
    with pytest.raises(EngineUnavailable, match=r"full.*free some space"):
        await engine.accept(refused)
    assert await engine.turn(refused.id) is None
    assert await engine.conversation(refused.conversation) is None
    stats = await engine.stats()
    assert (stats.queued, stats.running) == (0, 1)
    await limit(1_000_000)
    assert (await engine.accept(refused)).created
    await engine.commit(claim, outcome(claim))
    assert (await worker.claim()).turn.id == refused.id
    await engine.close()


async def test_one_turn_too_large_for_the_disk_does_not_take_others_with_it(
    tmp_path: Path, opened: Opener
) -> None:
    engine = await opened(tmp_path)
    await engine._writer.submit(lambda c: c.execute("PRAGMA max_page_count = 60").fetchone())
    small, large = [first_turn() for _ in range(10)], large_turn(1_000_000)
    together = [small[0], large, *small[1:]]
    results = await asyncio.gather(*map(engine.accept, together), return_exceptions=True)
    refused = [new for new, result in zip(together, results, strict=True) if isinstance(result, Exception)]
    assert refused == [large]
    assert len(await engine.turns()) == 10
    await engine.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs (root in a container with CAP_SYS_ADMIN)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_on_a_really_full_disk_nothing_is_lost_and_it_recovers_by_itself(
    small_disk: Path, opened: Opener
) -> None:
    engine = await opened(small_disk / "data")
    worker = ScriptedWorker()
    await engine.attach(worker)
    await engine.accept(first_turn())
    claim = await worker.claim()
    accepted = [claim.turn.id]

    async def fill() -> None:
        for _ in range(200):
            new = large_turn(30_000)
            await engine.accept(new)
            accepted.append(new.id)

    with pytest.raises(EngineUnavailable, match="is full"):
        await fill()
    (small_disk / "ballast").write_bytes(b"")
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(b"x" * 2**21)
    large = Outcome("completed", output=["y" * 500_000])
    with pytest.raises(EngineUnavailable, match="is full"):
        await engine.commit(claim, large)
    assert {turn.id for turn in await engine.turns(limit=1_000)} == set(accepted)
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    assert (await engine.commit(claim, large)).status == "completed"
    late = large_turn(30_000)
    await engine.accept(late)
    await engine.crash()
    again = await opened(small_disk / "data")
    assert {turn.id for turn in await again.turns(limit=1_000)} == {*accepted, late.id}
    await again.close()


# --- folders and files that will not do ---


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "data").write_text("I am a file")
    with pytest.raises(EngineUnavailable, match=r"can't be made.*choose another"):
        await opened(tmp_path / "data")


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "turnlane.db"
    path.write_text("this is not a database, " * 100)
    with pytest.raises(EngineUnavailable, match=r"turnlane\.db is not a Turnlane database"):
        await opened(tmp_path)
    assert path.read_text().startswith("this is not")
    path.unlink()
    await (await opened(tmp_path)).close()  # the failure has let go of the folder


async def test_another_programs_database_is_left_alone(tmp_path: Path, opened: Opener) -> None:
    with sqlite3.connect(tmp_path / "turnlane.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(EngineUnavailable, match="another program's database"):
        await opened(tmp_path)


async def test_a_damaged_database_is_told(tmp_path: Path, opened: Opener) -> None:
    engine = await opened(tmp_path)
    await asyncio.gather(*(engine.accept(first_turn()) for _ in range(200)))
    await engine.close()
    path = tmp_path / "turnlane.db"
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(EngineUnavailable, match=r"damaged.*backup"):
        await opened(tmp_path)


NOBODY = """
    import asyncio, os, sys
    import concurrent.futures.thread  # what is imported late can't be read as nobody
    from pathlib import Path
    from turnlane.runtime.engine import EngineUnavailable
    from turnlane.runtime.engines.embedded import EmbeddedEngine

    async def main():
        os.setuid(65534)
        try:
            await EmbeddedEngine(Path(sys.argv[1])).open()
        except EngineUnavailable as error:
            print(error, flush=True)

    asyncio.run(main())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which only root may")
@pytest.mark.parametrize(("folder_mode", "database_mode"), [(0o755, 0o666), (0o777, 0o644)])
async def test_what_may_not_be_written_is_named(opened: Opener, folder_mode: int, database_mode: int) -> None:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="turnlane-") as parent:
        Path(parent).chmod(0o755)
        data = Path(parent) / "data"
        await (await opened(data)).close()
        (data / "turnlane.lock").unlink()
        (data / "turnlane.db").chmod(database_mode)
        data.chmod(folder_mode)
        said, errors = start(NOBODY, data).communicate(timeout=30)
        assert "can't be written" in said, errors
        assert str(data) in said


# --- versions ---


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, opened: Opener) -> None:
    await (await opened(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "turnlane.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(EngineUnavailable, match=rf"newer turnlane \(schema 99, this one knows {len(MIGRATIONS)}"):
        await opened(tmp_path)
    connection = sqlite3.connect(tmp_path / "turnlane.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


async def test_an_older_schema_is_moved_with_everything_in_it(tmp_path: Path, opened: Opener) -> None:
    engine = await opened(tmp_path)
    new = first_turn()
    await engine.accept(new)
    await engine.close()
    newer = [*MIGRATIONS, ["ALTER TABLE turn ADD COLUMN mood TEXT", "UPDATE turn SET mood = 'calm'"]]
    for _ in range(2):  # the second time there is nothing to do
        connection = open_for_writing(tmp_path / "turnlane.db", newer)
        assert connection.execute("SELECT id, mood FROM turn").fetchall() == [(new.id, "calm")]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)
        connection.close()


async def test_a_migration_that_breaks_changes_nothing(tmp_path: Path, opened: Opener) -> None:
    await (await opened(tmp_path)).close()
    wrong = [*MIGRATIONS, ["ALTER TABLE turn ADD COLUMN mood TEXT", "this is not SQL"]]
    with pytest.raises(sqlite3.OperationalError):
        open_for_writing(tmp_path / "turnlane.db", wrong)
    connection = open_for_writing(tmp_path / "turnlane.db")
    assert "mood" not in [row[1] for row in connection.execute("PRAGMA table_info(turn)")]
    connection.close()


# --- how it is set up ---


async def test_every_commit_is_synchronised_to_the_disk(tmp_path: Path, opened: Opener) -> None:
    engine = await opened(tmp_path)

    def ask(connection: sqlite3.Connection) -> list[Any]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    # 2 is FULL; OFF and NORMAL return before the write-ahead log is on the disk.
    assert await engine._writer.submit(ask) == ["wal", 2]
    with pytest.raises(EngineUnavailable, match="can't be written"):
        await engine._reader.submit(lambda c: c.execute("DELETE FROM turn"))
    await engine.close()


@pytest.mark.parametrize(
    "question",
    [
        "SELECT 1 FROM turn t WHERE t.status IN ('queued', 'running') AND t.status <> 'completed'",
        "SELECT 1 FROM turn t WHERE t.status = ? AND t.status <> 'completed' ORDER BY t.n DESC",
        "SELECT 1 FROM turn WHERE key = ? AND idempotency_key = ?",
        "SELECT 1 FROM turn t WHERE t.key = ? ORDER BY t.n DESC",
        "SELECT max(position) FROM turn WHERE conversation = ?",
        "SELECT 1 FROM event_chunk WHERE id BETWEEN ? AND ? AND last_seq > ? ORDER BY id",
    ],
)
async def test_no_question_reads_a_whole_table(tmp_path: Path, opened: Opener, question: str) -> None:
    await (await opened(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "turnlane.db")
    values = [1] * question.count("?")
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}", values)]
    connection.close()
    assert plan
    assert all(step.startswith("SEARCH") for step in plan), plan


async def test_the_answer_does_not_wait_for_a_reader(tmp_path: Path, opened: Opener) -> None:
    """A long read (an operator's listing) holds up other reads, never an accept or a commit."""
    engine = await opened(tmp_path)
    worker = ScriptedWorker()
    await engine.attach(worker)
    reading, done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM turn").fetchone()
        loop.call_soon_threadsafe(reading.set)
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result()
        connection.execute("COMMIT")

    read = engine._reader.submit(slow)
    await reading.wait()
    first = first_turn(items=[message("hi")])
    await engine.accept(first)
    claim = await worker.claim()
    await engine.commit(claim, outcome(claim))
    await engine.accept(new_turn(first.conversation))
    done.set()
    await read
    await engine.close()


def count(connection: sqlite3.Connection) -> dict[str, int]:
    """The rows of each table."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


async def test_a_deleted_conversation_leaves_no_row(tmp_path: Path, opened: Opener) -> None:
    engine = await opened(tmp_path)
    worker = ScriptedWorker()
    await engine.attach(worker)
    first = first_turn(items=[message("secret")])
    await engine.accept(first)
    claim = await worker.claim()
    await engine.commit(claim, outcome(claim))
    await engine.accept(new_turn(first.conversation))
    await engine.record(await worker.claim(), [LedgerEntry("model", "ended", "asked", "call", "gpt", answer="42")])
    for key in ("a", "b"):
        joining = new_turn(first.conversation, when_busy="merge", idempotency_key=key, fingerprint=key)
        await engine.accept(joining)
    filled = await engine._reader.submit(count)
    assert all(filled.values()), filled
    await engine.delete_conversation(first.conversation)
    left = await engine._reader.submit(count)
    assert not any(left.values()), left
    await engine.close()
