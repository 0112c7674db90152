"""What the PostgreSQL engine keeps, read whole and filled anew for a move."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from asyncpg import Record

from turnlane.runtime.conversation import Conversation, JsonObject, Turn
from turnlane.runtime.engine import EngineError
from turnlane.runtime.engines.moving import (
    BATCH,
    ConversationRecord,
    Counts,
    MoveRefused,
    TurnRecord,
    all_keys,
    chunks_of,
    result_of,
    split_keys,
)
from turnlane.runtime.engines.postgres.accepting import QUEUES, queue_name
from turnlane.runtime.engines.postgres.connection import Connection, connect, explain, place_of
from turnlane.runtime.engines.postgres.rows import storable, turn_of
from turnlane.runtime.engines.postgres.schema import VERSION, make_ready, version
from turnlane.runtime.engines.stored_json import (
    events_of,
    events_text,
    ledger_of,
    ledger_text,
    request_text,
    to_text,
)

SLOW: Final = 600.0
"""Seconds for one statement of a move: a batch may hold many events."""

# A move lasts longer than a request: the limits that guard requests are not for it.
_SESSION: Final = (
    """SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s'"""
)

# Nobody can register with the engine until the transaction ends. Taken before the snapshot.
_KEEP_OUT: Final = "LOCK TABLE turnlane.process IN EXCLUSIVE MODE"

_PROCESSES: Final = """SELECT p.host, p.pid, p.program, l.pid IS NOT NULL AS lives,
    p.lease - extract(epoch FROM clock_timestamp() - p.seen_at) AS left
    FROM turnlane.process p LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = 1953853039
        AND l.objid = p.n AND l.objsubid = 2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    WHERE l.pid IS NOT NULL OR p.seen_at > clock_timestamp() - make_interval(secs => p.lease)"""

_COUNTS: Final = """SELECT (SELECT count(*) FROM turnlane.conversation) AS conversations,
    (SELECT count(*) FROM turnlane.turn) AS turns"""

_CONVERSATIONS: Final = """SELECT c.*, s.absorbed, s.data AS state FROM turnlane.conversation c
    LEFT JOIN turnlane.state s ON s.conversation = c.n WHERE c.n > $1 ORDER BY c.n LIMIT $2"""

_ITEMS: Final = """SELECT conversation, position, data FROM turnlane.item WHERE conversation = ANY ($1)
    ORDER BY conversation, position"""

# What has not ended is in `work`, and the turn's own row is as it was when it was accepted.
_TURNS: Final = """SELECT t.n, t.id, c.id AS conversation, t.agent, t.key, t.position, t.created_at, t.finished_at,
    t.idempotency_key, t.request, t.result, w.joined,
    CASE WHEN w.turn IS NULL THEN t.status ELSE w.status END AS status,
    CASE WHEN w.turn IS NULL THEN t.attempt ELSE w.attempt END AS attempt,
    CASE WHEN w.turn IS NULL THEN t.events_from ELSE w.events_from END AS events_from,
    CASE WHEN w.turn IS NULL THEN t.stop_asked ELSE w.stop_asked END AS stop_asked,
    CASE WHEN w.turn IS NULL THEN t.not_before ELSE w.not_before END AS not_before,
    CASE WHEN w.turn IS NULL THEN t.started_at ELSE w.started_at END AS started_at
    FROM turnlane.turn t JOIN turnlane.conversation c ON c.n = t.conversation
    LEFT JOIN turnlane.work w ON w.turn = t.n WHERE t.n > $1 ORDER BY t.n LIMIT $2"""

_EVENTS: Final = "SELECT turn, events FROM turnlane.event_chunk WHERE turn = ANY ($1) ORDER BY turn, first_seq"

_LEDGERS: Final = "SELECT turn, entries FROM turnlane.ledger WHERE turn = ANY ($1) ORDER BY turn, attempt, part"

_KEYS: Final = """SELECT turn, idempotency_key, fingerprint FROM turnlane.idempotency WHERE turn = ANY ($1)
    ORDER BY turn, idempotency_key"""

_NUMBERS: Final = """SELECT nextval(pg_get_serial_sequence($1, 'n')) AS n FROM generate_series(1, $2)"""

_SEND: Final = "SELECT sent FROM pgmq.send_batch($1, $2::jsonb[], $3::jsonb[]) AS sent"

_NOT_BEFORE: Final = """SELECT pgmq.set_vt($1::text, a.message, to_timestamp(a.at))
    FROM unnest($2::bigint[], $3::double precision[]) AS a (message, at)"""


class PostgresStore:
    """The schema `turnlane` of a database, while no process is registered in it (`moving.Store`)."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def exported(self) -> AsyncIterator[PostgresExport]:
        found = await version(self._url)
        if found is None:
            raise MoveRefused(f"{place_of(self._url)} holds nothing of Turnlane: give the engine to be moved")
        async with self._alone() as connection:
            yield PostgresExport(connection)

    @asynccontextmanager
    async def restored(self) -> AsyncIterator[PostgresRestore]:
        async with self._alone() as connection:
            restore = PostgresRestore(connection)
            counts = await restore.counts()
            if counts.records:
                raise MoveRefused(
                    f"{place_of(self._url)} holds {counts.conversations:,} conversations already: move into an "
                    "empty database"
                )
            yield restore

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection]:
        """A transaction during which no front end and no worker can begin to use the database."""
        try:
            connection = await connect(self._url)
            try:
                await make_ready(connection, self._url)
                await self._check_version()
                await connection.execute(_SESSION)
                async with connection.transaction(isolation="repeatable_read"):
                    await connection.execute(_KEEP_OUT)
                    await self._refuse_use(connection)
                    yield connection
            finally:
                await connection.close()
        except EngineError:
            raise
        except Exception as error:
            raise explain(error, self._url) from error

    async def _check_version(self) -> None:
        found = await version(self._url)
        if found != VERSION:
            raise MoveRefused(
                f"{place_of(self._url)} has schema {found} and this turnlane knows {VERSION}: move with the "
                "version that made it"
            )

    async def _refuse_use(self, connection: Connection) -> None:
        processes = await connection.fetch(_PROCESSES)
        if not processes:
            return
        who = ", ".join(f"{row['program']} at {row['host']}, pid {row['pid']}" for row in processes[:3])
        more = f" and {len(processes) - 3} more" if len(processes) > 3 else ""
        if any(row["lives"] for row in processes):
            raise MoveRefused(f"{place_of(self._url)} is used by {who}{more}: stop what uses it, then move")
        left = max(row["left"] for row in processes)
        raise MoveRefused(
            f"{place_of(self._url)} was used a moment ago by {who}{more}, which did not say goodbye: if it is "
            f"stopped, move in {max(1.0, left):.0f} s"
        )


class PostgresExport:
    """Reads in a transaction of its caller (`moving.Export`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def counts(self) -> Counts:
        row = await self._connection.fetchrow(_COUNTS, timeout=SLOW)
        assert row is not None
        return Counts(row["conversations"], row["turns"])

    async def conversations(self) -> AsyncIterator[ConversationRecord]:
        after = 0
        while rows := await self._connection.fetch(_CONVERSATIONS, after, BATCH, timeout=SLOW):
            items = await self._of(_ITEMS, rows, "conversation")
            for row in rows:
                yield ConversationRecord(
                    conversation=_conversation_of(row),
                    items=[(item["position"], json.loads(item["data"])) for item in items[row["n"]]],
                    state=json.loads(row["state"]) if row["state"] is not None else None,
                    absorbed=-1 if row["absorbed"] is None else row["absorbed"],
                )
            after = rows[-1]["n"]

    async def turns(self) -> AsyncIterator[TurnRecord]:
        after = 0
        while rows := await self._connection.fetch(_TURNS, after, BATCH, timeout=SLOW):
            events = await self._of(_EVENTS, rows, "turn")
            ledgers = await self._of(_LEDGERS, rows, "turn")
            keys = await self._of(_KEYS, rows, "turn")
            for row in rows:
                own, joined = split_keys(
                    row["idempotency_key"],
                    [(key["idempotency_key"], key["fingerprint"]) for key in keys[row["n"]]],
                )
                yield TurnRecord(
                    turn=turn_of(row),
                    fingerprint=own,
                    joined=joined,
                    joins=(row["joined"] or 1) - 1,
                    events=[event for chunk in events[row["n"]] for event in events_of(chunk["events"])],
                    events_from=row["events_from"],
                    ledger=[entry for part in ledgers[row["n"]] for entry in ledger_of(part["entries"])],
                )
            after = rows[-1]["n"]

    async def _of(self, sql: str, rows: Sequence[Record], owner: str) -> Mapping[int, list[Record]]:
        """What belongs to these rows, by their number."""
        found: dict[int, list[Record]] = defaultdict(list)
        for row in await self._connection.fetch(sql, [row["n"] for row in rows], timeout=SLOW):
            found[row[owner]].append(row)
        return found


class PostgresRestore(PostgresExport):
    """Writes in a transaction of its caller (`moving.Restore`)."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._agents: dict[str, int] = {}

    async def add_conversations(self, conversations: Sequence[ConversationRecord]) -> None:
        numbers = await self._numbers("turnlane.conversation", len(conversations))
        numbered = list(zip(numbers, conversations, strict=True))
        await self._copy(
            "conversation",
            ("n", "id", "key", "agent", "metadata", "created_at"),
            ((n, *_conversation_row(record.conversation)) for n, record in numbered),
        )
        await self._copy(
            "item",
            ("conversation", "position", "id", "data"),
            (
                (n, position, _item_id(item), to_text(item))
                for n, record in numbered
                for position, item in record.items
            ),
        )
        await self._copy(
            "state",
            ("conversation", "absorbed", "data"),
            ((n, record.absorbed, to_text(record.state)) for n, record in numbered if record.state is not None),
        )

    async def add_turns(self, turns: Sequence[TurnRecord]) -> None:
        homes = await self._homes([record.turn.conversation for record in turns])
        numbers = await self._numbers("turnlane.turn", len(turns))
        numbered = list(zip(numbers, turns, strict=True))
        await self._copy(
            "turn",
            _TURN_COLUMNS,
            ((n, homes[record.turn.conversation], *_turn_row(record)) for n, record in numbered),
        )
        await self._copy(
            "idempotency",
            ("turn", "key", "idempotency_key", "fingerprint"),
            ((n, r.turn.key, *key) for n, r in numbered for key in all_keys(r)),
        )
        await self._copy(
            "event_chunk",
            ("turn", "first_seq", "last_seq", "events"),
            (
                (n, chunk[0].seq, chunk[-1].seq, events_text(chunk))
                for n, record in numbered
                for chunk in chunks_of(record.events)
            ),
        )
        await self._copy(
            "ledger",
            ("turn", "attempt", "part", "entries"),
            ((n, record.turn.attempt, 0, ledger_text(record.ledger)) for n, record in numbered if record.ledger),
        )
        await self._queue([(n, homes[r.turn.conversation], r) for n, r in numbered if not r.turn.ended])

    async def _queue(self, waiting: Sequence[tuple[int, int, TurnRecord]]) -> None:
        """Put turns that wait into their queues, in the order in which they were accepted."""
        by_queue: dict[str, list[tuple[int, int, TurnRecord]]] = defaultdict(list)
        for place in waiting:
            by_queue[await self._queue_of(place[2].turn)].append(place)
        for queue, places in by_queue.items():
            messages = await self._connection.fetch(
                _SEND,
                queue,
                [json.dumps({"turn": n}) for n, _, _ in places],
                [json.dumps({"x-pgmq-group": str(home)}) for _, home, _ in places],
                timeout=SLOW,
            )
            await self._copy(
                "work",
                _WORK_COLUMNS,
                (
                    (n, home, queue, message["sent"], *_work_row(record))
                    for (n, home, record), message in zip(places, messages, strict=True)
                ),
            )
            later = [
                (message["sent"], record.turn.not_before)
                for (_, _, record), message in zip(places, messages, strict=True)
                if record.turn.not_before is not None
            ]
            await self._connection.execute(
                _NOT_BEFORE, queue, [message for message, _ in later], [at for _, at in later], timeout=SLOW
            )

    async def _queue_of(self, turn: Turn) -> str:
        if turn.agent not in self._agents:
            self._agents[turn.agent] = await self._connection.fetchval(
                "SELECT turnlane.add_agent($1, $2)", turn.agent, QUEUES, timeout=SLOW
            )
        return queue_name(self._agents[turn.agent], turn.conversation)

    async def _homes(self, conversations: Iterable[str]) -> Mapping[str, int]:
        rows = await self._connection.fetch(
            "SELECT id, n FROM turnlane.conversation WHERE id = ANY ($1)", list(set(conversations)), timeout=SLOW
        )
        return {row["id"]: row["n"] for row in rows}

    async def _numbers(self, table: str, count: int) -> list[int]:
        return [row["n"] for row in await self._connection.fetch(_NUMBERS, table, count)]

    async def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        await self._connection.copy_records_to_table(
            table, schema_name="turnlane", columns=list(columns), records=list(rows), timeout=SLOW
        )


# --- rows ---

_TURN_COLUMNS: Final = (
    "n",
    "conversation",
    "id",
    "position",
    "agent",
    "key",
    "status",
    "trouble",
    "attempt",
    "events_from",
    "stop_asked",
    "created_at",
    "not_before",
    "started_at",
    "finished_at",
    "idempotency_key",
    "request",
    "result",
)

_WORK_COLUMNS: Final = (
    "turn",
    "conversation",
    "queue",
    "message",
    "id",
    "position",
    "agent",
    "receipt",
    "status",
    "attempt",
    "events_from",
    "joined",
    "stop_asked",
    "created_at",
    "not_before",
    "started_at",
)


def _item_id(item: JsonObject) -> str | None:
    """What the item is found by; the item itself has the id as it is."""
    return storable(item["id"]) if item.get("id") is not None else None


def _conversation_of(row: Record) -> Conversation:
    return Conversation(
        id=row["id"],
        key=row["key"],
        agent=row["agent"],
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
    )


def _conversation_row(conversation: Conversation) -> tuple[object, ...]:
    c = conversation
    return c.id, c.key, c.agent, to_text(dict(c.metadata)), c.created_at


def _turn_row(record: TurnRecord) -> tuple[object, ...]:
    """From `id` on, as in `_TURN_COLUMNS`."""
    turn = record.turn
    return (
        turn.id,
        turn.position,
        turn.agent,
        turn.key,
        turn.status,
        turn.status if turn.ended and turn.status != "completed" else None,
        turn.attempt,
        record.events_from,
        turn.stop_asked,
        turn.created_at,
        turn.not_before,
        turn.started_at,
        turn.finished_at,
        turn.idempotency_key,
        request_text(turn),
        result_of(turn),
    )


def _work_row(record: TurnRecord) -> tuple[object, ...]:
    """From `id` on, as in `_WORK_COLUMNS`."""
    turn = record.turn
    return (
        turn.id,
        turn.position,
        turn.agent,
        0,
        turn.status,
        turn.attempt,
        record.events_from,
        record.joins + 1,
        turn.stop_asked,
        turn.created_at,
        turn.not_before,
        turn.started_at,
    )
