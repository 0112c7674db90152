"""How turns, events and conversations are written as rows, and the questions a reader asks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, Final

from turnlane.runtime.conversation import (
    Conversation,
    Entry,
    JsonObject,
    Status,
    StopAsk,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engines import stored_json

SEQ_BITS: Final = 31
"""A chunk of events has the id (turn's n << SEQ_BITS) | first seq: one B-tree, in order, without an index."""

CHUNKS_A_PAGE: Final = 16
"""Chunks of events that a reader takes from the store at once: what a slow reader holds in memory."""


def number_of_new(inserted: sqlite3.Cursor) -> int:
    """The number of the row that was just inserted."""
    assert inserted.lastrowid is not None
    return inserted.lastrowid


# --- turns ---

STOPS: Final[Sequence[StopAsk | None]] = (None, "cancel", "interrupt", "rollback")
"""What the number in `turn.stop_asked` says. Never change one: only add."""

TURN_COLUMNS: Final = """t.id, c.id, t.agent, t.key, t.position, t.status, t.attempt, t.stop_asked,
    t.created_at, t.started_at, t.finished_at, t.idempotency_key, t.request, t.result, t.not_before, t.n,
    t.conversation"""

_TURNS: Final = f"SELECT {TURN_COLUMNS} FROM turn t JOIN conversation c ON c.n = t.conversation"  # noqa: S608


def turn_of(row: Sequence[Any]) -> Turn:
    """The turn of a row of `TURN_COLUMNS`."""
    return Turn(
        id=row[0],
        conversation=row[1],
        agent=row[2],
        key=row[3],
        position=row[4],
        status=row[5],
        attempt=row[6],
        stop_asked=STOPS[row[7]],
        created_at=row[8],
        started_at=row[9],
        finished_at=row[10],
        idempotency_key=row[11],
        not_before=row[14],
        **stored_json.request_fields(row[12]),
        **stored_json.result_fields(row[13]),
    )


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn with the numbers of its row and of its conversation's row."""

    turn: Turn
    number: int
    home: int


def read_stored(connection: sqlite3.Connection, condition: str, *values: object) -> list[StoredTurn]:
    """The turns that meet `condition` (SQL of ours on `t`), in the order of acceptance."""
    rows = connection.execute(f"{_TURNS} WHERE {condition} ORDER BY t.n", values)
    return [StoredTurn(turn_of(row), row[15], row[16]) for row in rows]


def read_turn(connection: sqlite3.Connection, turn_id: str) -> Turn | None:
    row = connection.execute(f"{_TURNS} WHERE t.id = ?", (turn_id,)).fetchone()
    return turn_of(row) if row else None


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """Which turns to list; None means all. `before` is the id of the last turn seen."""

    key: str | None
    conversation: str | None
    status: Status | None
    before: str | None

    def where(self) -> tuple[str, list[object]]:
        conditions = {
            "t.key = ?": self.key,
            "t.conversation = (SELECT n FROM conversation WHERE id = ?)": self.conversation,
            "t.status = ?": self.status,
            "t.n < (SELECT n FROM turn WHERE id = ?)": self.before,
        }
        asked = {condition: value for condition, value in conditions.items() if value is not None}
        # Says to SQLite that the partial index of turns that are not completed may be used.
        partial = ["t.status <> 'completed'"] if self.status not in (None, "completed") else []
        return " AND ".join([*asked, *partial]) or "TRUE", list(asked.values())


def read_turns(connection: sqlite3.Connection, asked: TurnFilter, limit: int) -> list[Turn]:
    """Newest first."""
    condition, values = asked.where()
    rows = connection.execute(f"{_TURNS} WHERE {condition} ORDER BY t.n DESC LIMIT ?", (*values, limit))
    return [turn_of(row) for row in rows]


# --- events ---


def chunk_id(number: int, seq: int) -> int:
    return number << SEQ_BITS | seq


def chunk_row(number: int, events: Sequence[TurnEvent]) -> tuple[int, int, str]:
    """The row for events of the turn with this number; `events` is not empty and in order."""
    return chunk_id(number, events[0].seq), events[-1].seq, stored_json.events_text(events)


def read_events(connection: sqlite3.Connection, turn_id: str, after: int) -> list[TurnEvent]:
    """A page of the current attempt's events with `seq` > `after`; empty when there are no more."""
    row = connection.execute("SELECT n, events_from FROM turn WHERE id = ?", (turn_id,)).fetchone()
    if row is None:
        return []
    number, events_from = row
    rows = connection.execute(
        "SELECT events FROM event_chunk WHERE id BETWEEN ? AND ? AND last_seq > ? ORDER BY id LIMIT ?",
        (chunk_id(number, events_from), chunk_id(number + 1, 0) - 1, after, CHUNKS_A_PAGE),
    )
    return [event for event in _unpacked(rows) if event.seq > after]


def read_superseded_events(connection: sqlite3.Connection, turn_id: str) -> list[TurnEvent]:
    """What is kept of the events before the current attempt."""
    row = connection.execute("SELECT n, events_from FROM turn WHERE id = ?", (turn_id,)).fetchone()
    if row is None:
        return []
    number, events_from = row
    rows = connection.execute(
        "SELECT events FROM event_chunk WHERE id >= ? AND id < ? ORDER BY id",
        (chunk_id(number, 0), chunk_id(number, events_from)),
    )
    return _unpacked(rows)


def _unpacked(rows: sqlite3.Cursor) -> list[TurnEvent]:
    return [event for (events,) in rows for event in stored_json.events_of(events)]


# --- conversations ---


def read_conversation(connection: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    row = connection.execute(
        "SELECT id, key, agent, metadata, created_at FROM conversation WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        return None
    return Conversation(id=row[0], key=row[1], agent=row[2], metadata=json.loads(row[3]), created_at=row[4])


def read_state(connection: sqlite3.Connection, conversation_id: str) -> JsonObject | None:
    row = connection.execute(
        "SELECT s.data FROM state s JOIN conversation c ON c.n = s.conversation WHERE c.id = ?",
        (conversation_id,),
    ).fetchone()
    return json.loads(row[0]) if row else None


def read_entries(
    connection: sqlite3.Connection, conversation_id: str, after: int | None, limit: int, newest_first: bool
) -> list[Entry]:
    """Items and turns in order of position, or the reverse, from behind position `after`."""
    sign, order = ("<", "DESC") if newest_first else (">", "ASC")
    behind = f"AND position {sign} ?" if after is not None else ""
    values = (conversation_id, *(() if after is None else (after,)), limit)
    of = "conversation = (SELECT n FROM conversation WHERE id = ?)"
    tail = f"{behind} ORDER BY position {order} LIMIT ?"
    items = connection.execute(f"SELECT position, data FROM item WHERE {of} {tail}", values)  # noqa: S608
    turns = connection.execute(f"{_TURNS} WHERE t.{of} {tail}", values)
    merged = merge(
        [Entry(position=position, item=json.loads(data)) for position, data in items],
        [Entry(position=turn.position, turn=turn) for turn in map(turn_of, turns)],
        key=lambda entry: entry.position,
        reverse=newest_first,
    )
    return list(islice(merged, limit))
