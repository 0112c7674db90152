"""The ledgers of turns: rows that only the turn's further attempts need."""

from __future__ import annotations

import sqlite3

from turnlane.runtime.conversation import LedgerEntry
from turnlane.runtime.engines import stored_json
from turnlane.runtime.engines.sqlite_rows import chunk_id


def add(connection: sqlite3.Connection, number: int, entries: str) -> None:
    """Keep entries (`stored_json.ledger_text`) behind those of the turn with this number."""
    connection.execute(
        "INSERT INTO ledger (id, entries) VALUES (coalesce("
        "(SELECT id FROM ledger WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1) + 1, ?1), ?3)",
        (*_ids(number), entries),
    )


def read(connection: sqlite3.Connection, number: int) -> list[LedgerEntry]:
    rows = connection.execute("SELECT entries FROM ledger WHERE id >= ? AND id < ? ORDER BY id", _ids(number))
    return [entry for (entries,) in rows for entry in stored_json.ledger_of(entries)]


def read_of(connection: sqlite3.Connection, turn_id: str) -> list[LedgerEntry]:
    """The ledger of the turn with this id; empty when there is none."""
    found = connection.execute("SELECT n FROM turn WHERE id = ?", (turn_id,)).fetchone()
    return read(connection, found[0]) if found else []


def forget(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM ledger WHERE id >= ? AND id < ?", _ids(number))


def _ids(number: int) -> tuple[int, int]:
    """From where, and up to where, the ids of a turn's entries lie."""
    return chunk_id(number, 0), chunk_id(number + 1, 0)
