"""What is read: rows as turns, events, conversations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, Final

from turnlane.runtime.conversation import (
    Conversation,
    Entry,
    JsonObject,
    Lane,
    LedgerEntry,
    Status,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import EngineStats
from turnlane.runtime.engines.postgres.connection import Connection
from turnlane.runtime.engines.stored_json import events_of, ledger_of, request_fields, result_fields

CHUNKS_A_PAGE: Final = 16
"""Chunks of events that a reader takes from the store at once: what a slow reader holds in memory."""

# While a turn has not ended, what changes of it is in `work`.
_TURNS: Final = """
    SELECT t.n, t.id, c.id AS conversation, t.agent, t.key, t.position, t.created_at, t.finished_at, t.not_before,
        t.idempotency_key, t.request, t.result, coalesce(w.status, t.status) AS status,
        coalesce(w.attempt, t.attempt) AS attempt, coalesce(w.stop_asked, t.stop_asked) AS stop_asked,
        coalesce(w.started_at, t.started_at) AS started_at, coalesce(w.events_from, t.events_from) AS events_from
    FROM turnlane.turn t
    JOIN turnlane.conversation c ON c.n = t.conversation
    LEFT JOIN turnlane.work w ON w.turn = t.n
"""


def storable(text: str) -> str:
    """A text that PostgreSQL takes as it is; one with a NUL or a lone surrogate names nothing."""
    if "\0" not in text:
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            pass
    return text.encode("unicode_escape").decode("ascii")


def within(number: int, bits: int) -> int:
    """A number that PostgreSQL takes as an integer of so many bits; of one beyond there is nothing anyway."""
    most = 1 << (bits - 1)
    return max(-most, min(most - 1, number))


def turn_of(row: Mapping[str, Any]) -> Turn:
    """The turn of a row of `_TURNS`."""
    return Turn(
        id=row["id"],
        conversation=row["conversation"],
        agent=row["agent"],
        key=row["key"],
        position=row["position"],
        status=row["status"],
        attempt=row["attempt"],
        stop_asked=row["stop_asked"],
        not_before=row["not_before"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        idempotency_key=row["idempotency_key"],
        **request_fields(row["request"]),
        **result_fields(row["result"]),
    )


# --- turns ---


async def read_turn(connection: Connection, turn_id: str) -> Turn | None:
    row = await connection.fetchrow(f"{_TURNS} WHERE t.id = $1", storable(turn_id))
    return turn_of(row) if row else None


@dataclass(frozen=True, slots=True)
class Look:
    """A turn as a reader of its events needs it."""

    turn: Turn
    floor: int
    """The first event number that is not superseded."""
    last_seq: int
    """The number of the last event that is stored of the current attempt; `floor - 1`: none."""


async def look_at(connection: Connection, turn_ids: Sequence[str]) -> list[Look]:
    """The turns that there are of these, each with the numbers of its events."""
    rows = await connection.fetch(
        f"""SELECT t.*, coalesce(e.last_seq, -1) AS last_seq FROM ({_TURNS} WHERE t.id = ANY ($1)) t
        LEFT JOIN LATERAL (SELECT last_seq FROM turnlane.event_chunk WHERE turn = t.n
            ORDER BY first_seq DESC LIMIT 1) e ON true""",  # noqa: S608 - SQL of ours
        [storable(turn_id) for turn_id in turn_ids],
    )
    return [Look(turn_of(row), row["events_from"], max(row["last_seq"], row["events_from"] - 1)) for row in rows]


@dataclass(frozen=True, slots=True)
class Glance:
    """How far a turn is, without what it holds."""

    id: str
    ended: bool
    floor: int
    last_seq: int


async def glance_at(connection: Connection, turn_ids: Sequence[str]) -> list[Glance]:
    """The turns that there are of these."""
    rows = await connection.fetch(
        """SELECT t.id, t.finished_at IS NOT NULL AS ended, coalesce(w.events_from, t.events_from) AS floor,
            coalesce(e.last_seq, -1) AS last_seq
        FROM turnlane.turn t
        LEFT JOIN turnlane.work w ON w.turn = t.n
        LEFT JOIN LATERAL (SELECT last_seq FROM turnlane.event_chunk WHERE turn = t.n
            ORDER BY first_seq DESC LIMIT 1) e ON true
        WHERE t.id = ANY ($1)""",
        [storable(turn_id) for turn_id in turn_ids],
    )
    return [Glance(row["id"], row["ended"], row["floor"], max(row["last_seq"], row["floor"] - 1)) for row in rows]


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """Which turns to list; None means all. `before` is the id of the last turn seen."""

    key: str | None
    conversation: str | None
    status: Status | None
    before: str | None


async def read_turns(connection: Connection, asked: TurnFilter, limit: int) -> list[Turn]:
    """Newest first."""
    conditions: list[str] = []
    values: list[object] = []
    for condition, value in (
        ("t.key = ${}", asked.key),
        ("t.conversation = (SELECT n FROM turnlane.conversation WHERE id = ${})", asked.conversation),
        ("t.n < (SELECT n FROM turnlane.turn WHERE id = ${})", asked.before),
        (_status_condition(asked.status), asked.status),
    ):
        if value is not None:
            values.append(storable(value))
            conditions.append(condition.format(len(values)))
    where = " AND ".join(conditions) or "TRUE"
    values.append(limit)
    rows = await connection.fetch(f"{_TURNS} WHERE {where} ORDER BY t.n DESC LIMIT ${len(values)}", *values)
    return [turn_of(row) for row in rows]


def _status_condition(status: Status | None) -> str:
    if status in ("queued", "running"):
        return "t.n IN (SELECT turn FROM turnlane.work WHERE status = ${})"
    if status == "completed":
        return "t.status = ${}"
    return "t.trouble = ${}"


# --- events and ledgers ---

_PAGES: Final = f"""
    SELECT a.i, p.events
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS a (id, after, i)
    JOIN turnlane.turn t ON t.id = a.id
    LEFT JOIN turnlane.work w ON w.turn = t.n
    CROSS JOIN LATERAL (SELECT coalesce(w.events_from, t.events_from) AS floor) f
    CROSS JOIN LATERAL (
        SELECT e.events, e.first_seq FROM turnlane.event_chunk e
        WHERE e.turn = t.n AND e.last_seq > a.after AND e.first_seq >= greatest(f.floor, coalesce((
            SELECT max(b.first_seq) FROM turnlane.event_chunk b WHERE b.turn = t.n AND b.first_seq <= a.after), 0))
        ORDER BY e.first_seq LIMIT {CHUNKS_A_PAGE}) p
    ORDER BY a.i, p.first_seq
"""  # noqa: S608 - SQL of ours


async def read_pages(connection: Connection, asked: Sequence[tuple[str, int]]) -> list[list[TurnEvent]]:
    """For each (turn, number): a page of the current attempt's events behind that number; empty: no more."""
    rows = await connection.fetch(
        _PAGES, [storable(turn) for turn, _ in asked], [within(after, 64) for _, after in asked]
    )
    pages: list[list[TurnEvent]] = [[] for _ in asked]
    for row in rows:
        i = row["i"] - 1
        pages[i].extend(event for event in events_of(row["events"]) if event.seq > asked[i][1])
    return pages


async def read_superseded_events(connection: Connection, turn_id: str) -> list[TurnEvent]:
    """What is kept of the events before the current attempt."""
    rows = await connection.fetch(
        """SELECT e.events FROM turnlane.turn t LEFT JOIN turnlane.work w ON w.turn = t.n
        JOIN turnlane.event_chunk e ON e.turn = t.n AND e.first_seq < coalesce(w.events_from, t.events_from)
        WHERE t.id = $1 ORDER BY e.first_seq""",
        storable(turn_id),
    )
    return [event for row in rows for event in events_of(row["events"])]


async def read_ledger(connection: Connection, turn_id: str) -> list[LedgerEntry]:
    rows = await connection.fetch(
        """SELECT l.entries FROM turnlane.turn t JOIN turnlane.ledger l ON l.turn = t.n
        WHERE t.id = $1 ORDER BY l.attempt, l.part""",
        storable(turn_id),
    )
    return [entry for row in rows for entry in ledger_of(row["entries"])]


# --- the queue ---


async def read_lanes(connection: Connection, key: str | None, limit: int) -> list[Lane]:
    """The longest-waiting first."""
    rows = await connection.fetch(
        """SELECT c.id, c.agent, c.key, l.* FROM (
            SELECT conversation, (array_agg(id) FILTER (WHERE status = 'running'))[1] AS running,
                count(*) FILTER (WHERE status = 'queued') AS queued,
                (array_agg(created_at ORDER BY position))[1] AS oldest_at
            FROM turnlane.work GROUP BY conversation) l
        JOIN turnlane.conversation c ON c.n = l.conversation
        WHERE $1::text IS NULL OR c.key = $1 ORDER BY l.oldest_at LIMIT $2""",
        None if key is None else storable(key),
        limit,
    )
    return [
        Lane(row["id"], row["agent"], row["key"], row["running"], row["queued"], row["oldest_at"]) for row in rows
    ]


async def read_stats(connection: Connection) -> EngineStats:
    row = await connection.fetchrow(
        """SELECT count(*) FILTER (WHERE status = 'queued') AS queued,
            count(*) FILTER (WHERE status = 'running') AS running, count(DISTINCT conversation) AS conversations,
            min(created_at) FILTER (WHERE status = 'queued') AS oldest FROM turnlane.work"""
    )
    assert row is not None
    return EngineStats(row["queued"], row["running"], row["conversations"], row["oldest"])


# --- conversations ---


async def read_conversation(connection: Connection, conversation_id: str) -> Conversation | None:
    row = await connection.fetchrow(
        "SELECT id, key, agent, metadata, created_at FROM turnlane.conversation WHERE id = $1",
        storable(conversation_id),
    )
    if row is None:
        return None
    return Conversation(row["id"], row["key"], row["agent"], json.loads(row["metadata"]), row["created_at"])


async def read_state(connection: Connection, conversation_id: str) -> JsonObject | None:
    text = await connection.fetchval(
        """SELECT s.data FROM turnlane.state s JOIN turnlane.conversation c ON c.n = s.conversation
        WHERE c.id = $1""",
        storable(conversation_id),
    )
    return json.loads(text) if text is not None else None


async def read_entries(
    connection: Connection, conversation_id: str, after: int | None, limit: int, newest_first: bool
) -> list[Entry]:
    """Items and turns in order of position, or the reverse, from behind position `after`."""
    sign, order = ("<", "DESC") if newest_first else (">", "ASC")
    behind = f"AND position {sign} $2" if after is not None else "AND $2::integer IS NULL"
    of = "conversation = (SELECT n FROM turnlane.conversation WHERE id = $1)"
    tail = f"{behind} ORDER BY position {order} LIMIT $3"
    values = (storable(conversation_id), None if after is None else within(after, 32), limit)
    items = await connection.fetch(
        f"SELECT position, data FROM turnlane.item WHERE {of} {tail}",  # noqa: S608 - SQL of ours
        *values,
    )
    turns = await connection.fetch(
        f"{_TURNS} WHERE t.n IN (SELECT n FROM turnlane.turn WHERE {of} {tail}) ORDER BY t.position {order}",  # noqa: S608
        *values,
    )
    merged = merge(
        [Entry(position=row["position"], item=json.loads(row["data"])) for row in items],
        [Entry(position=turn.position, turn=turn) for turn in map(turn_of, turns)],
        key=lambda entry: entry.position,
        reverse=newest_first,
    )
    return list(islice(merged, limit))
