"""`turnlane move`: copies what an engine keeps, says what it did, and refuses in one sentence."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from turnlane.cli.main import main
from turnlane.cli.move import _shown_progress
from turnlane.runtime.conversation import Conversation
from turnlane.runtime.engines.folder_lock import FolderLock
from turnlane.runtime.engines.moving import ConversationRecord
from turnlane.runtime.engines.moving_sqlite import SqliteStore

Said = tuple[int, str, str]
Move = Callable[[str, str], Said]


@pytest.fixture
def move(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Move:
    """Runs the command in the test's folder: exit status, what it printed, what it complained."""
    monkeypatch.chdir(tmp_path)

    def run(source: str, target: str) -> Said:
        errors = io.StringIO()
        status = main(["move", source, target], errors=errors)
        return status, capsys.readouterr().out, errors.getvalue()

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A data folder with two conversations."""
    asyncio.run(make(tmp_path / "shop", 2))
    return tmp_path / "shop"


async def make(folder: Path, conversations: int) -> None:
    async with SqliteStore(folder).restored() as restore:
        await restore.add_conversations(
            [ConversationRecord(Conversation(f"conv_{n}"), items=[(0, {"id": "i"})]) for n in range(conversations)]
        )


async def held(folder: Path) -> list[str]:
    async with SqliteStore(folder).exported() as export:
        return [record.conversation.id async for record in export.conversations()]


SAID = "moved 2 conversations with 2 items, 0 states, 0 turns, 0 events and 0 ledger entries\n"


def test_folder_to_database_and_back(move: Move, shop: Path, postgres_url: str, tmp_path: Path) -> None:
    status, said, complaint = move("shop", postgres_url)
    assert (status, complaint) == (0, "")
    assert said.startswith(f"{SAID}  from shop, which is left as it was\n  to   {postgres_url}\n")
    digest = said.partition("sha256 ")[2]
    status, said, complaint = move(postgres_url, "sqlite:///back")
    assert (status, complaint) == (0, "")
    assert said.startswith(SAID)
    assert said.partition("sha256 ")[2] == digest
    assert asyncio.run(held(tmp_path / "back")) == asyncio.run(held(shop)) == ["conv_0", "conv_1"]


@contextmanager
def used_by_another(folder: Path) -> Iterator[None]:
    lock = FolderLock(folder)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def test_folder_in_use(move: Move, shop: Path) -> None:
    with used_by_another(shop):
        status, _, complaint = move("shop", "new")
    assert status == 1
    assert "already open" in complaint


@pytest.mark.parametrize(
    ("source", "target", "status", "said"),
    [
        ("shop", "shop/", 2, "shop is the source and the target: give two different ones"),
        ("shop", "sqlite:///shop/turnlane.db", 2, "shop is the source and the target"),
        ("nothing", "new", 1, "nothing is no data folder: it has no turnlane.db"),
        ("shop", "full", 1, "holds 1 conversations already: move into an empty folder"),
        ("shop", "mysql://ann:secret@db/shop", 2, "no engine for 'mysql'"),
        ("shop", "postgresql://ann:secret@127.0.0.1:1/shop", 1, "PostgreSQL at 127.0.0.1:1/shop can't be reached"),
        ("postgresql://ann:secret@127.0.0.1:1/shop", "new", 1, "PostgreSQL at 127.0.0.1:1/shop can't be reached"),
    ],
)
def test_what_can_not_be_moved(
    move: Move, shop: Path, tmp_path: Path, source: str, target: str, status: int, said: str
) -> None:
    asyncio.run(make(tmp_path / "full", 1))
    found, out, complaint = move(source, target)
    assert (found, out) == (status, "")
    assert complaint.startswith("turnlane: ")
    assert complaint.count("\n") == 1
    assert said in complaint
    assert "secret" not in complaint
    assert asyncio.run(held(shop)) == ["conv_0", "conv_1"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_of_a_terminal_and_nothing_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        with _shown_progress(out) as progress:
            for done in (500, 1000, 1500, 2000):
                progress(done, 2000)
    assert file.getvalue() == ""
    *steps, end = terminal.getvalue().split("\r")[1:]
    assert [step.split(":")[0] for step in steps] == ["copying", "copying", "comparing"]
    assert end == "comparing: 100 % of 1,000 conversations and turns \n"
