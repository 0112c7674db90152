"""Every change of turns and conversations: the rows, and in step with them the lanes.

Runs in the writer's thread, inside its transactions. A method refuses (raises `EngineError`) before it
writes. The lanes are a picture of the rows: when a transaction is undone they are drawn again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    Conversation,
    Failure,
    JsonObject,
    Lane,
    NewTurn,
    Outcome,
    SavedState,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import (
    Accepted,
    ConversationBusy,
    ConversationNotFound,
    EngineError,
    EngineStats,
    IdempotencyMismatch,
    LaneFull,
    NotJson,
    OwnershipLost,
    QueueFull,
    WrongAgent,
)
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.effects import (
    Claimed,
    Deleted,
    Effect,
    Ended,
    OwnerLost,
    Queued,
    Requeued,
    StopAsked,
)
from turnlane.runtime.engines.lanes import Lanes, Running, Seat, Waiting
from turnlane.runtime.lifecycle import ENDING_MOVE, Move, after
from turnlane.runtime.limits import Bounds

CANCELLED: Final = Failure(
    type="Cancelled", message="the turn was cancelled before it ran", kind="cancelled", code="cancelled"
)


def attempts_exhausted(attempts: int) -> Failure:
    return Failure(
        type="AttemptsExhausted",
        message=f"the server died {attempts} times while this turn ran; it is not started again",
        kind="attempts",
        code="attempts_exhausted",
    )


@dataclass(frozen=True, slots=True)
class _Home:
    """A conversation's row, as accepting needs it. `number` None: it is not stored yet."""

    number: int | None
    agent: str | None
    next_position: int


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Events of an attempt that readers have seen and the store has not."""

    claim: Claim
    events: Sequence[TurnEvent]


class Moves:
    """The writer's side of the engine."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._lanes = Lanes()
        # The seats and owners as of the last commit: what the database does not know about running turns.
        self._seats: list[Seat] = []
        self._owners: dict[str, Seat] = {}
        self._effects: list[Effect] = []
        self._stale = False
        self.picture = EngineStats(queued=0, running=0, conversations_active=0, oldest_queued_at=None)
        """As of the last commit; may be read from any thread."""

    # --- in step with transactions ---

    def ready(self, connection: sqlite3.Connection) -> None:
        if self._stale:
            self._draw_lanes(connection)

    def take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def keep(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Claimed(seat, claim):
                    self._owners[claim.turn.id] = seat
                case Ended(turn):
                    self._owners.pop(turn.id, None)
                case Requeued(turn_id) | Deleted(turn_id):
                    self._owners.pop(turn_id, None)
                case _:
                    pass
        self._seats = list(self._lanes.seats)
        self._take_picture()

    def forget(self) -> None:
        self._effects.clear()
        self._stale = True

    def recover(self, connection: sqlite3.Connection) -> list[str]:
        """Put back what a dead process was running; returns the ids of all turns that wait."""
        connection.execute("BEGIN IMMEDIATE")
        # Fewer than 100,000 can be unfinished (`Bounds.total`), and only the orphans are read whole.
        for stored in rows.read_stored(connection, "t.status = 'running' AND t.status <> 'completed'"):
            self._recover_one(connection, stored)
        connection.execute("COMMIT")
        self._effects.clear()
        self._draw_lanes(connection)
        self._take_picture()
        return [row[1] for row in connection.execute(_SELECT_UNFINISHED)]

    def _recover_one(self, connection: sqlite3.Connection, stored: rows.StoredTurn) -> None:
        turn = stored.turn
        if turn.cancel_requested:
            self._end_unowned(connection, stored, "cancel", CANCELLED)
            return
        queued = turn.with_(status=after(turn.status, "orphan"))
        if turn.attempt >= self._bounds.attempts:
            orphan = rows.StoredTurn(queued, stored.number, stored.home)
            self._end_unowned(connection, orphan, "fail", attempts_exhausted(turn.attempt))
        else:
            self._requeue_row(connection, stored.number, turn.attempt)

    def _draw_lanes(self, connection: sqlite3.Connection) -> None:
        """Make the lanes anew from the rows, which are the truth."""
        for seat in {*self._seats, *self._owners.values()}:
            seat.running = 0
            seat.running_of.clear()
        lanes = Lanes(self._seats)
        lanes.mean_seconds = self._lanes.mean_seconds
        unfinished = connection.execute(_SELECT_UNFINISHED)
        for n, turn, conversation, agent, key, status, attempt, created_at, started_at, cancel in unfinished:
            if status == "queued":
                lanes.wait(conversation, agent, key, Waiting(n, turn, attempt, created_at))
            else:
                owner = self._owners.get(turn)
                running = Running(n, turn, attempt, created_at, started_at, owner, bool(cancel))
                lanes.run_at_once(conversation, agent, key, running)
        self._lanes = lanes
        self._stale = False

    def _take_picture(self) -> None:
        lanes = self._lanes
        self.picture = EngineStats(
            queued=lanes.queued,
            running=lanes.running,
            conversations_active=len(lanes),
            oldest_queued_at=lanes.oldest_queued_at(),
        )

    # --- workers ---

    def attach(
        self, seat: Seat, capacity: int, agent_limits: Mapping[str, int | None], connection: sqlite3.Connection
    ) -> None:
        """Fill the seat of a worker; a seat that is filled already gets the new size."""
        seat.capacity = capacity
        seat.agent_limits = agent_limits
        if seat not in self._lanes.seats:
            self._lanes.seats.append(seat)
        self._run_what_fits(connection)

    def detach(self, seat: Seat, connection: sqlite3.Connection) -> None:
        """Claim no more for the seat."""
        if seat in self._lanes.seats:
            self._lanes.seats.remove(seat)

    def detach_all(self, connection: sqlite3.Connection) -> None:
        self._lanes.seats.clear()

    def flush(self, unwritten: Sequence[Unwritten], connection: sqlite3.Connection) -> None:
        """Make published events durable; those of an attempt that lost its turn are dropped."""
        connection.executemany(
            _INSERT_CHUNK,
            [
                rows.chunk_row(running.number, part.events)
                for part in unwritten
                if (running := self._running(part.claim)) is not None
            ],
        )

    def commit(
        self, claim: Claim, outcome: Outcome, unwritten: Sequence[TurnEvent], connection: sqlite3.Connection
    ) -> Turn:
        """End the turn; claims what runs next in the same transaction.

        Args:
            unwritten: events that were published and are not stored yet; those of `outcome` come behind.

        Raises:
            OwnershipLost, NotJson: nothing was written.
        """
        running = self._owned(claim)
        now = self._clock()
        events = [*unwritten, *outcome.events]
        with _told_as_json("the outcome"):
            result = rows.result_text(outcome)
            state = rows.to_text(outcome.state.to_json()) if outcome.state else None
            chunk = rows.chunk_row(running.number, events) if events else None
        status = after("running", ENDING_MOVE[outcome.status])
        ended = connection.execute(
            "UPDATE turn SET status = ?, result = ?, finished_at = ?"
            " WHERE n = ? AND attempt = ? AND status = 'running'",
            (status, result, now, running.number, running.attempt),
        )
        if ended.rowcount != 1:
            raise _lost(claim)
        if chunk:
            connection.execute(_INSERT_CHUNK, chunk)
        if state is not None and status in ("completed", "incomplete"):
            connection.execute(
                "INSERT OR REPLACE INTO state SELECT conversation, position, ? FROM turn WHERE n = ?",
                (state, running.number),
            )
        turn = _ended_turn(claim.turn, outcome, now).with_(cancel_requested=running.cancel_requested)
        self._lanes.end(turn.conversation, now)
        self._effects.append(Ended(turn, outcome.events))
        self._run_what_fits(connection)
        return turn

    def release(self, claim: Claim, unwritten: Sequence[TurnEvent], connection: sqlite3.Connection) -> None:
        """Give the turn back to the head of its lane; one that a user cancelled ends instead.

        Raises:
            OwnershipLost: nothing was written.
        """
        running = self._owned(claim)
        if unwritten:
            connection.execute(_INSERT_CHUNK, rows.chunk_row(running.number, unwritten))
        conversation = claim.turn.conversation
        if running.cancel_requested:
            (stored,) = rows.read_stored(connection, "t.n = ?", running.number)
            self._end_unowned(connection, stored, "cancel", CANCELLED)
            self._lanes.end(conversation, self._clock())
        else:
            after("running", "release")
            self._requeue_row(connection, running.number, running.attempt)
            self._lanes.put_back(conversation)
            self._effects.append(Requeued(claim.turn.id))
        self._run_what_fits(connection)

    # --- accepting and cancelling ---

    def accept(self, new: NewTurn, connection: sqlite3.Connection) -> Accepted:
        """Store a turn; it starts in the same transaction when its lane is idle and a worker has a place.

        Raises:
            IdempotencyMismatch, ConversationNotFound, WrongAgent, ConversationBusy, LaneFull, QueueFull,
            NotJson: nothing was stored.
        """
        earlier = self._with_same_key(connection, new)
        if earlier is not None:
            return Accepted(earlier, created=False)
        home = self._home(connection, new)
        seat = self._lanes.seat_for_new(new.conversation, new.agent)
        if seat is None:
            self._check_bounds(new)
        with _told_as_json("the turn"):
            request = rows.request_text(new)
            items = rows.item_rows(0, home.next_position, new.items)
        number = self._settle_home(connection, home, new)
        connection.executemany(_INSERT_ITEM, [(number, *item[1:]) for item in items])
        turn = self._first_turn(new, home.next_position + len(items), running=seat is not None)
        turn_number = self._insert_turn(connection, number, turn, new.fingerprint, request)
        if seat is None:
            self._enqueue(turn_number, turn)
        else:
            self._start_at_once(connection, seat, turn_number, number, turn, fresh=home.number is None)
        return Accepted(turn, created=True)

    def cancel(self, turn_id: str, connection: sqlite3.Connection) -> Turn | None:
        """End a queued turn; mark a running one and have its worker told."""
        found = rows.read_stored(connection, "t.id = ?", turn_id)
        if not found or found[0].turn.ended:
            return found[0].turn if found else None
        (stored,) = found
        turn = stored.turn
        if turn.status == "queued":
            self._lanes.drop(turn.conversation, turn_id)
            return self._end_unowned(connection, stored, "cancel", CANCELLED)
        connection.execute("UPDATE turn SET cancel_requested = 1 WHERE n = ?", (stored.number,))
        running = self._lanes.owner(turn.conversation, turn_id, turn.attempt)
        assert running is not None
        running.cancel_requested = True
        if running.seat is not None:
            self._effects.append(StopAsked(running.seat, turn_id, turn.attempt))
        return turn.with_(cancel_requested=True)

    def lanes(self, key: str | None, limit: int, connection: sqlite3.Connection) -> list[Lane]:
        return self._lanes.longest_waiting(key=key, limit=limit)

    # --- conversations ---

    def create_conversation(
        self, conversation: Conversation, items: Sequence[JsonObject], connection: sqlite3.Connection
    ) -> None:
        """Raises: NotJson, or EngineError when the id is taken."""
        if _number_of(connection, conversation.id) is not None:
            raise EngineError(f"there is a conversation {conversation.id!r} already: use another id")
        with _told_as_json("an item"):
            stored = rows.item_rows(0, 0, items)
        number = self._insert_conversation(connection, conversation, conversation.key, conversation.agent)
        connection.executemany(_INSERT_ITEM, [(number, *item[1:]) for item in stored])

    def update_conversation(
        self, conversation_id: str, metadata: Mapping[str, str], connection: sqlite3.Connection
    ) -> Conversation | None:
        connection.execute(
            "UPDATE conversation SET metadata = ? WHERE id = ?", (rows.to_text(dict(metadata)), conversation_id)
        )
        return rows.read_conversation(connection, conversation_id)

    def delete_conversation(self, conversation_id: str, connection: sqlite3.Connection) -> bool:
        number = _number_of(connection, conversation_id)
        if number is None:
            return False
        turns = connection.execute("SELECT n FROM turn WHERE conversation = ?", (number,)).fetchall()
        connection.executemany(
            "DELETE FROM event_chunk WHERE id >= ? AND id < ?",
            [(rows.chunk_id(n, 0), rows.chunk_id(n + 1, 0)) for (n,) in turns],
        )
        for table in ("item", "state", "turn"):
            connection.execute(f"DELETE FROM {table} WHERE conversation = ?", (number,))  # noqa: S608
        connection.execute("DELETE FROM conversation WHERE n = ?", (number,))
        self._forget_lane(conversation_id)
        self._run_what_fits(connection)
        return True

    def add_items(self, conversation_id: str, items: Sequence[JsonObject], connection: sqlite3.Connection) -> None:
        """Raises: ConversationNotFound, NotJson."""
        row = connection.execute(_SELECT_HOME, (conversation_id,)).fetchone()
        if row is None:
            raise ConversationNotFound(conversation_id)
        number, _, _, last_position = row
        with _told_as_json("an item"):
            stored = rows.item_rows(number, last_position + 1, items)
        connection.executemany(_INSERT_ITEM, stored)

    def delete_item(self, conversation_id: str, item_id: str, connection: sqlite3.Connection) -> bool:
        number = _number_of(connection, conversation_id)
        if number is None:
            return False
        deleted = connection.execute(
            "DELETE FROM item WHERE conversation = ? AND id = ? AND position > ?",
            (number, item_id, self._used_up_to(connection, conversation_id, number)),
        )
        return deleted.rowcount > 0

    # --- inside: accepting ---

    def _with_same_key(self, connection: sqlite3.Connection, new: NewTurn) -> Turn | None:
        """The turn that was accepted with the same idempotency key."""
        if new.idempotency_key is None:
            return None
        found = connection.execute(
            "SELECT id, fingerprint FROM turn WHERE key = ? AND idempotency_key = ?",
            (new.key, new.idempotency_key),
        ).fetchone()
        if found is None:
            return None
        turn_id, fingerprint = found
        if fingerprint != new.fingerprint:
            raise IdempotencyMismatch(turn_id)
        return rows.read_turn(connection, turn_id)

    def _home(self, connection: sqlite3.Connection, new: NewTurn) -> _Home:
        """The conversation's row; refuses one of another key or another agent."""
        row = connection.execute(_SELECT_HOME, (new.conversation,)).fetchone()
        if row is None:
            if new.create_conversation is None:
                raise ConversationNotFound(new.conversation)
            return _Home(None, None, 0)
        number, key, agent, last_position = row
        if key != new.key:
            raise ConversationNotFound(new.conversation)
        if agent is not None and agent != new.agent:
            raise WrongAgent(new.conversation, agent, new.agent)
        return _Home(number, agent, last_position + 1)

    def _check_bounds(self, new: NewTurn) -> None:
        """Refuse a turn that would have to wait where no more may wait."""
        lanes = self._lanes
        lane = lanes.lane(new.conversation)
        if lane is not None:
            if new.when_busy == "reject":
                raise ConversationBusy(new.conversation, lane.first_turn)
            if len(lane.waiting) >= self._bounds.lane:
                wait = lanes.retry_after(1, places=1)
                raise LaneFull(new.conversation, self._bounds.lane, wait)
        if lanes.queued >= self._bounds.total:
            # One place has to become free, and any of the running turns may make it.
            raise QueueFull(self._bounds.total, lanes.retry_after(lanes.queued, lanes.places()))

    def _settle_home(self, connection: sqlite3.Connection, home: _Home, new: NewTurn) -> int:
        """The number of the conversation's row, which belongs to the turn's agent from now on."""
        if home.number is None:
            assert new.create_conversation is not None
            return self._insert_conversation(connection, new.create_conversation, new.key, new.agent)
        if home.agent is None:
            connection.execute("UPDATE conversation SET agent = ? WHERE n = ?", (new.agent, home.number))
        return home.number

    def _insert_conversation(
        self, connection: sqlite3.Connection, conversation: Conversation, key: str, agent: str | None
    ) -> int:
        inserted = connection.execute(
            "INSERT INTO conversation (id, key, agent, metadata, created_at) VALUES (?, ?, ?, ?, ?)",
            (
                conversation.id,
                key,
                agent,
                rows.to_text(dict(conversation.metadata)),
                conversation.created_at or self._clock(),
            ),
        )
        return _row_number(inserted)

    def _first_turn(self, new: NewTurn, position: int, *, running: bool) -> Turn:
        now = self._clock()
        return Turn(
            id=new.id,
            conversation=new.conversation,
            agent=new.agent,
            key=new.key,
            position=position,
            status=after("queued", "claim") if running else "queued",
            attempt=1 if running else 0,
            input=list(new.input),
            metadata=new.metadata,
            options=new.options,
            request_id=new.request_id,
            idempotency_key=new.idempotency_key,
            created_at=new.created_at or now,
            started_at=now if running else None,
        )

    def _insert_turn(
        self, connection: sqlite3.Connection, home: int, turn: Turn, fingerprint: str | None, request: str
    ) -> int:
        inserted = connection.execute(
            _INSERT_TURN,
            (
                turn.id,
                home,
                turn.position,
                turn.agent,
                turn.key,
                turn.status,
                turn.attempt,
                turn.created_at,
                turn.started_at,
                turn.idempotency_key,
                fingerprint,
                request,
            ),
        )
        return _row_number(inserted)

    def _enqueue(self, number: int, turn: Turn) -> None:
        waiting = Waiting(number, turn.id, turn.attempt, turn.created_at)
        self._lanes.wait(turn.conversation, turn.agent, turn.key, waiting)
        self._effects.append(Queued(turn.id))

    def _start_at_once(
        self, connection: sqlite3.Connection, seat: Seat, number: int, home: int, turn: Turn, *, fresh: bool
    ) -> None:
        assert turn.started_at is not None
        running = Running(number, turn.id, turn.attempt, turn.created_at, turn.started_at, seat)
        self._lanes.run_at_once(turn.conversation, turn.agent, turn.key, running)
        stored = rows.StoredTurn(turn, number, home)
        self._effects.append(Claimed(seat, self._claim(connection, stored, stateless=fresh)))

    # --- inside: running ---

    def _run_what_fits(self, connection: sqlite3.Connection) -> None:
        """Claim for every free place the longest-waiting turn that may run."""
        while (running := self._lanes.take(self._clock())) is not None:
            assert running.seat is not None
            after("queued", "claim")
            connection.execute(
                "UPDATE turn SET status = 'running', attempt = ?, started_at = ? WHERE n = ?",
                (running.attempt, running.started_at, running.number),
            )
            (stored,) = rows.read_stored(connection, "t.n = ?", running.number)
            self._effects.append(Claimed(running.seat, self._claim(connection, stored)))

    def _claim(self, connection: sqlite3.Connection, stored: rows.StoredTurn, *, stateless: bool = False) -> Claim:
        """The claim of a turn: with the saved state, and the items that this state has not seen.

        Args:
            stateless: the conversation is new, so no state has to be looked for.
        """
        state, absorbed = (None, -1) if stateless else self._state(connection, stored.home)
        items = connection.execute(
            "SELECT data FROM item WHERE conversation = ? AND position > ? AND position < ? ORDER BY position",
            (stored.home, absorbed, stored.turn.position),
        )
        return Claim(stored.turn, state, [json.loads(data) for (data,) in items])

    @staticmethod
    def _state(connection: sqlite3.Connection, home: int) -> tuple[SavedState | None, int]:
        """The conversation's state, and the position up to which it has seen the history."""
        row = connection.execute("SELECT data, absorbed FROM state WHERE conversation = ?", (home,)).fetchone()
        return (SavedState.from_json(json.loads(row[0])), row[1]) if row else (None, -1)

    def _running(self, claim: Claim) -> Running | None:
        return self._lanes.owner(claim.turn.conversation, claim.turn.id, claim.attempt)

    def _owned(self, claim: Claim) -> Running:
        running = self._running(claim)
        if running is None:
            raise _lost(claim)
        return running

    # --- inside: ending ---

    def _end_unowned(
        self, connection: sqlite3.Connection, stored: rows.StoredTurn, move: Move, failure: Failure
    ) -> Turn:
        """End a turn that nobody runs; what its dead attempts said is superseded."""
        turn = stored.turn
        status = after(turn.status, move)
        outcome = Outcome(status=status, failure=failure)
        now = self._clock()
        # The next attempt's first number: higher than any that a reader may have seen.
        seq = turn.attempt * EVENTS_PER_ATTEMPT
        finished = TurnEvent(seq=seq, kind="finished", at=now, data={"status": status})
        connection.execute(
            "UPDATE turn SET status = ?, result = ?, finished_at = ?, events_from = ? WHERE n = ?",
            (status, rows.result_text(outcome), now, seq, stored.number),
        )
        connection.execute(_INSERT_CHUNK, rows.chunk_row(stored.number, [finished]))
        ended = _ended_turn(turn, outcome, now)
        self._effects.append(Ended(ended, [finished]))
        return ended

    @staticmethod
    def _requeue_row(connection: sqlite3.Connection, number: int, attempt: int) -> None:
        connection.execute(
            "UPDATE turn SET status = 'queued', events_from = ? WHERE n = ?",
            (attempt * EVENTS_PER_ATTEMPT, number),
        )

    def _forget_lane(self, conversation_id: str) -> None:
        lane = self._lanes.remove(conversation_id)
        if lane is None:
            return
        self._effects.extend(Deleted(waiting.turn) for waiting in lane.waiting)
        if lane.running is not None:
            self._effects.append(Deleted(lane.running.turn))
            if (seat := lane.running.seat) is not None:
                self._effects.append(OwnerLost(seat, lane.running.turn, lane.running.attempt))

    def _used_up_to(self, connection: sqlite3.Connection, conversation_id: str, number: int) -> int:
        """The position up to which a turn has used the history, or is using it."""
        lane = self._lanes.lane(conversation_id)
        running = lane.running.number if lane and lane.running else None
        position: int
        (position,) = connection.execute(_SELECT_USED, (number, running)).fetchone()
        return position


# The second condition is implied; it lets SQLite use the index of turns that are not completed.
_SELECT_UNFINISHED: Final = """SELECT t.n, t.id, c.id, t.agent, t.key, t.status, t.attempt, t.created_at,
    t.started_at, t.cancel_requested FROM turn t JOIN conversation c ON c.n = t.conversation
    WHERE t.status IN ('queued', 'running') AND t.status <> 'completed' ORDER BY t.n"""

_SELECT_HOME: Final = """SELECT n, key, agent, max(
    coalesce((SELECT max(position) FROM turn WHERE turn.conversation = conversation.n), -1),
    coalesce((SELECT max(position) FROM item WHERE item.conversation = conversation.n), -1))
    FROM conversation WHERE id = ?"""

_SELECT_USED: Final = """SELECT max(coalesce((SELECT absorbed FROM state WHERE conversation = ?), -1),
    coalesce((SELECT position FROM turn WHERE n = ?), -1))"""

_INSERT_TURN: Final = """INSERT INTO turn (id, conversation, position, agent, key, status, attempt,
    events_from, cancel_requested, created_at, started_at, idempotency_key, fingerprint, request)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)"""

_INSERT_ITEM: Final = "INSERT INTO item (conversation, position, id, data) VALUES (?, ?, ?, ?)"

_INSERT_CHUNK: Final = "INSERT INTO event_chunk (id, last_seq, events) VALUES (?, ?, ?)"


class _told_as_json:
    """Turns the errors of a value that is not JSON into `NotJson`, before anything is written."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, TypeError | ValueError | RecursionError):
            raise NotJson(self._what, error) from error


def _ended_turn(turn: Turn, outcome: Outcome, now: float) -> Turn:
    return turn.with_(
        status=outcome.status,
        # As it is read back from the store: a turn has one shape, wherever it comes from.
        output=list(outcome.output) or (),
        usage=outcome.usage,
        failure=outcome.failure,
        incomplete=outcome.incomplete,
        finished_at=now,
    )


def _lost(claim: Claim) -> OwnershipLost:
    return OwnershipLost(f"attempt {claim.attempt} no longer owns turn {claim.turn.id}: drop everything it made")


def _number_of(connection: sqlite3.Connection, conversation_id: str) -> int | None:
    row = connection.execute("SELECT n FROM conversation WHERE id = ?", (conversation_id,)).fetchone()
    return int(row[0]) if row else None


def _row_number(inserted: sqlite3.Cursor) -> int:
    assert inserted.lastrowid is not None
    return inserted.lastrowid
