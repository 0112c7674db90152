"""The tables, their versions, and how a connection is set up."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from turnlane.runtime.engine import EngineUnavailable

Migration: TypeAlias = Sequence[str]
"""Statements that move the schema from the version before to this one."""

APPLICATION_ID: Final = 0x7475726E
"""Marks the file as ours ("turn"), in SQLite's header."""

WAL_KEPT: Final = 64 * 2**20
"""Bytes of the write-ahead log that stay on disk after a burst."""

# `turn.n` orders all turns by acceptance. `turn.events_from` is the first event number that is not
# superseded. `state.absorbed` is the position up to which the saved state has seen the history.
# Completed turns are left out of `turn_by_status`: almost all are, and looking for any other stays fast.
VERSION_1: Final[Migration] = (
    """CREATE TABLE conversation (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, agent TEXT,
        metadata TEXT NOT NULL, created_at REAL NOT NULL)""",
    """CREATE TABLE state (
        conversation INTEGER PRIMARY KEY, absorbed INTEGER NOT NULL, data TEXT NOT NULL)""",
    """CREATE TABLE item (
        conversation INTEGER NOT NULL, position INTEGER NOT NULL, id TEXT, data TEXT NOT NULL,
        PRIMARY KEY (conversation, position)) WITHOUT ROWID""",
    """CREATE TABLE turn (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, conversation INTEGER NOT NULL, position INTEGER NOT NULL,
        agent TEXT NOT NULL, key TEXT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL,
        events_from INTEGER NOT NULL, cancel_requested INTEGER NOT NULL, created_at REAL NOT NULL,
        started_at REAL, finished_at REAL, idempotency_key TEXT, fingerprint TEXT,
        request TEXT NOT NULL, result TEXT)""",
    "CREATE UNIQUE INDEX turn_by_conversation ON turn (conversation, position)",
    "CREATE INDEX turn_by_key ON turn (key)",
    "CREATE INDEX turn_by_status ON turn (status) WHERE status <> 'completed'",
    """CREATE UNIQUE INDEX turn_by_idempotency ON turn (key, idempotency_key)
        WHERE idempotency_key IS NOT NULL""",
    """CREATE TABLE event_chunk (
        id INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, events TEXT NOT NULL)""",
)

# Only names and new columns: a large database is moved at once. `turn.stop_asked` holds a number, the place in
# `sqlite_rows.STOPS`; what was 1 for "cancel" stays so. `turn.delay` are the seconds that led to `not_before`.
# `turn.joined` counts the messages that joined the turn, `joined_key` has their idempotency keys. Entries of a
# ledger are numbered like chunks of events.
VERSION_2: Final[Migration] = (
    "ALTER TABLE turn RENAME COLUMN cancel_requested TO stop_asked",
    "ALTER TABLE turn ADD COLUMN not_before REAL",
    "ALTER TABLE turn ADD COLUMN delay REAL NOT NULL DEFAULT 0",
    "ALTER TABLE turn ADD COLUMN joined INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE joined_key (
        key TEXT NOT NULL, idempotency_key TEXT NOT NULL, fingerprint TEXT, turn INTEGER NOT NULL,
        PRIMARY KEY (key, idempotency_key)) WITHOUT ROWID""",
    "CREATE INDEX joined_key_by_turn ON joined_key (turn)",
    "CREATE TABLE ledger (id INTEGER PRIMARY KEY, entries TEXT NOT NULL)",
)

MIGRATIONS: Final[Sequence[Migration]] = (VERSION_1, VERSION_2)
"""Version n of the schema is what the first n of these make. Never change one that was released: add one."""


def open_for_writing(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> sqlite3.Connection:
    """The one connection that writes, with the schema moved to the newest version.

    Raises:
        EngineUnavailable: the file is not ours, or a newer program wrote it.
        sqlite3.Error: it can't be opened or written.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        _check_ours(connection, path)
        # FULL: a commit is on the disk when it returns, also when the power goes (promise 1).
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"journal_size_limit = {WAL_KEPT}",
            # FAST: deleted conversations are overwritten where that costs no further page.
            "secure_delete = FAST",
        ):
            connection.execute(f"PRAGMA {pragma}")
        migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that sees what is committed and can't write."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    connection.execute("PRAGMA query_only = ON")
    return connection


def open_unchanged(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> sqlite3.Connection:
    """A connection in a transaction that sees the newest schema. The file stays as it is: close without a commit.

    Raises:
        EngineUnavailable: the file is not ours, or a newer program wrote it.
        sqlite3.Error: it can't be opened or written.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        _check_ours(connection, path)
        _begin_newest(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Move the schema to the newest version, in one transaction.

    Raises:
        EngineUnavailable: it is newer than the newest known here.
    """
    try:
        _begin_newest(connection, path, migrations)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _begin_newest(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Begin a transaction in which the schema is the newest.

    Raises:
        EngineUnavailable: it is newer than the newest known here.
    """
    version = _version(connection)
    if version > len(migrations):
        raise EngineUnavailable(
            f"{path} was written by a newer turnlane (schema {version}, this one knows {len(migrations)}): "
            "install that version or a newer one, or choose another data folder"
        )
    connection.execute("BEGIN IMMEDIATE")
    for migration in migrations[version:]:
        for statement in migration:
            connection.execute(statement)
    # Written also when nothing moves: a file that can't be written is told now, not to the first user.
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if mark != APPLICATION_ID and (tables or _version(connection)):
        raise EngineUnavailable(f"{path} is another program's database: choose another data folder with --data")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
