"""What the embedded engine keeps, read whole and filled anew for a move.

Everything here blocks: a move is a process of its own with nothing else on its loop.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from turnlane.runtime.conversation import Conversation
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.embedded import DATABASE
from turnlane.runtime.engines.folder_lock import FolderLock
from turnlane.runtime.engines.moving import (
    BATCH,
    ConversationRecord,
    Counts,
    MoveRefused,
    TurnRecord,
    chunks_of,
    result_of,
)
from turnlane.runtime.engines.sqlite_errors import unavailable
from turnlane.runtime.engines.sqlite_schema import open_for_writing, open_unchanged
from turnlane.runtime.engines.stored_json import (
    events_of,
    events_text,
    item_rows,
    ledger_of,
    ledger_text,
    request_text,
    to_text,
)

_COUNTS: Final = "SELECT (SELECT count(*) FROM conversation), (SELECT count(*) FROM turn)"

_CONVERSATIONS: Final = """SELECT c.n, c.id, c.key, c.agent, c.metadata, c.created_at, s.absorbed, s.data
    FROM conversation c LEFT JOIN state s ON s.conversation = c.n WHERE c.n > ? ORDER BY c.n LIMIT ?"""

_ITEMS: Final = """SELECT conversation, position, data FROM item WHERE conversation BETWEEN ? AND ?
    ORDER BY conversation, position"""

_LAST_OF_PAGE: Final = "SELECT max(n) FROM (SELECT n FROM turn WHERE n > ? ORDER BY n LIMIT ?)"

_BESIDE: Final = "SELECT n, fingerprint, events_from, joined FROM turn WHERE n BETWEEN ? AND ?"

_KEYS: Final = "SELECT turn, idempotency_key, fingerprint FROM joined_key WHERE turn BETWEEN ? AND ?"

_EVENTS: Final = "SELECT id, events FROM event_chunk WHERE id >= ? AND id < ? ORDER BY id"

_LEDGERS: Final = "SELECT id, entries FROM ledger WHERE id >= ? AND id < ? ORDER BY id"


class SqliteStore:
    """The database of a data folder, while no process owns the folder (`moving.Store`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DATABASE

    @asynccontextmanager
    async def exported(self) -> AsyncIterator[SqliteExport]:
        if not self._path.is_file():
            raise MoveRefused(f"{self._folder} is no data folder: it has no {DATABASE}")
        with self._owned(), closing(open_unchanged(self._path)) as connection:
            yield SqliteExport(connection)

    @asynccontextmanager
    async def restored(self) -> AsyncIterator[SqliteRestore]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise MoveRefused(
                f"the folder {self._folder} can't be made ({error.strerror}): give another as the target"
            ) from error
        with self._owned(), closing(open_for_writing(self._path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            restore = SqliteRestore(connection)
            found = await restore.counts()
            if found.records:
                raise MoveRefused(
                    f"{self._path} holds {found.conversations:,} conversations already: move into an empty folder"
                )
            yield restore
            connection.execute("COMMIT")

    @contextmanager
    def _owned(self) -> Iterator[None]:
        """While no other process can open the folder; says what SQLite means."""
        lock = FolderLock(self._folder)
        lock.acquire()
        try:
            yield
        except sqlite3.Error as error:
            raise unavailable(error, self._path) from error
        finally:
            lock.release()


class SqliteExport:
    """Reads in a transaction of its caller (`moving.Export`)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def counts(self) -> Counts:
        return Counts(*self._connection.execute(_COUNTS).fetchone())

    async def conversations(self) -> AsyncIterator[ConversationRecord]:
        after = 0
        while page := self._connection.execute(_CONVERSATIONS, (after, BATCH)).fetchall():
            first, last = page[0][0], page[-1][0]
            items = _by_owner(self._connection.execute(_ITEMS, (first, last)))
            for n, *columns, absorbed, state in page:
                yield ConversationRecord(
                    conversation=_conversation_of(columns),
                    items=[(position, json.loads(data)) for position, data in items[n]],
                    state=json.loads(state) if state is not None else None,
                    absorbed=-1 if absorbed is None else absorbed,
                )
            after = last

    async def turns(self) -> AsyncIterator[TurnRecord]:
        after = 0
        while (last := self._connection.execute(_LAST_OF_PAGE, (after, BATCH)).fetchone()[0]) is not None:
            for record in self._page_of_turns(after + 1, last):
                yield record
            after = last

    def _page_of_turns(self, first: int, last: int) -> Iterator[TurnRecord]:
        beside = {n: columns for n, *columns in self._connection.execute(_BESIDE, (first, last))}
        keys = _by_owner(self._connection.execute(_KEYS, (first, last)))
        for stored in rows.read_stored(self._connection, "t.n BETWEEN ? AND ?", first, last):
            n, turn = stored.number, stored.turn
            fingerprint, events_from, joins = beside[n]
            parts = rows.chunk_id(n, 0), rows.chunk_id(n + 1, 0)
            yield TurnRecord(
                turn=turn,
                fingerprint=fingerprint,
                joined=sorted(keys[n]),
                joins=joins,
                events=[e for _, text in self._connection.execute(_EVENTS, parts) for e in events_of(text)],
                events_from=events_from,
                ledger=[e for _, text in self._connection.execute(_LEDGERS, parts) for e in ledger_of(text)],
            )


class SqliteRestore(SqliteExport):
    """Writes in a transaction of its caller (`moving.Restore`)."""

    async def add_conversations(self, conversations: Sequence[ConversationRecord]) -> None:
        for record in conversations:
            n = self._insert("conversation", _conversation_columns(record.conversation))
            if record.state is not None:
                state = {"conversation": n, "absorbed": record.absorbed, "data": to_text(record.state)}
                self._insert("state", state)
            self._connection.executemany(
                "INSERT INTO item (conversation, position, id, data) VALUES (?, ?, ?, ?)",
                [(n, *row) for position, item in record.items for row in item_rows(position, [item])],
            )

    async def add_turns(self, turns: Sequence[TurnRecord]) -> None:
        for record in turns:
            n = self._insert("turn", self._turn_columns(record))
            self._connection.executemany(
                "INSERT INTO joined_key (turn, key, idempotency_key, fingerprint) VALUES (?, ?, ?, ?)",
                [(n, record.turn.key, *joined) for joined in record.joined],
            )
            self._connection.executemany(
                "INSERT INTO event_chunk (id, last_seq, events) VALUES (?, ?, ?)",
                [
                    (rows.chunk_id(n, chunk[0].seq), chunk[-1].seq, events_text(chunk))
                    for chunk in chunks_of(record.events)
                ],
            )
            if record.ledger:
                self._insert("ledger", {"id": rows.chunk_id(n, 0), "entries": ledger_text(record.ledger)})

    def _turn_columns(self, record: TurnRecord) -> dict[str, object]:
        turn = record.turn
        home = self._connection.execute(
            "SELECT n FROM conversation WHERE id = ?", (turn.conversation,)
        ).fetchone()[0]
        plain = ("id", "position", "agent", "key", "status", "attempt", "created_at", "not_before", "started_at")
        return {
            **{name: getattr(turn, name) for name in (*plain, "finished_at", "idempotency_key")},
            "conversation": home,
            "events_from": record.events_from,
            "stop_asked": rows.STOPS.index(turn.stop_asked),
            # How long a further message is waited for is what it says itself.
            "delay": max(0.0, turn.not_before - turn.created_at) if turn.not_before is not None else 0.0,
            "joined": record.joins,
            "fingerprint": record.fingerprint,
            "request": request_text(turn),
            "result": result_of(turn),
        }

    def _insert(self, table: str, columns: Mapping[str, object]) -> int:
        """The number of the new row. Table and columns are names of ours."""
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608
        return rows.number_of_new(self._connection.execute(statement, tuple(columns.values())))


def _by_owner(found: Iterable[Sequence[Any]]) -> Mapping[int, list[tuple[Any, ...]]]:
    """Rows by the number in their first column, without it."""
    owned: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for owner, *columns in found:
        owned[owner].append(tuple(columns))
    return owned


def _conversation_of(columns: Sequence[Any]) -> Conversation:
    id, key, agent, metadata, created_at = columns
    return Conversation(id=id, key=key, agent=agent, metadata=json.loads(metadata), created_at=created_at)


def _conversation_columns(conversation: Conversation) -> dict[str, object]:
    return {
        "id": conversation.id,
        "key": conversation.key,
        "agent": conversation.agent,
        "metadata": to_text(dict(conversation.metadata)),
        "created_at": conversation.created_at,
    }
