"""Every move of a turn: its rows, and in step with them the lanes.

Runs in the writer's thread, inside its transactions. A method refuses (raises `EngineError`) before it
writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    Failure,
    Lane,
    NewTurn,
    Outcome,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import (
    Accepted,
    ConversationBusy,
    IdempotencyMismatch,
    LaneFull,
    NotLatest,
    QueueFull,
)
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines import stored_json
from turnlane.runtime.engines.effects import (
    Claimed,
    Effect,
    Ended,
    Queued,
    Requeued,
    StopAsked,
)
from turnlane.runtime.engines.lanes import Lanes, Running, Seat, Waiting
from turnlane.runtime.engines.sqlite_conversations import INSERT_ITEM, Conversations
from turnlane.runtime.engines.sqlite_ownership import Ownership, lost
from turnlane.runtime.lifecycle import ENDING_MOVE, Move, after
from turnlane.runtime.limits import Bounds


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Events of an attempt that readers have seen and the store has not."""

    claim: Claim
    events: Sequence[TurnEvent]


class Moves:
    """The moves of `runtime.lifecycle`, as the writer makes them."""

    def __init__(
        self,
        ownership: Ownership,
        conversations: Conversations,
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        self._ownership = ownership
        self._conversations = conversations
        self._bounds = bounds
        self._clock = clock

    @property
    def _lanes(self) -> Lanes:
        return self._ownership.lanes  # another object after a transaction was undone

    @property
    def _effects(self) -> list[Effect]:
        return self._ownership.effects

    def recover(self, connection: sqlite3.Connection) -> list[str]:
        """Put back what a dead process was running; returns the ids of all turns that wait."""
        connection.execute("BEGIN IMMEDIATE")
        for stored in rows.read_stored(connection, "t.status = 'running' AND t.status <> 'completed'"):
            self._recover_one(connection, stored)
        connection.execute("COMMIT")
        return self._ownership.begin(connection)

    def _recover_one(self, connection: sqlite3.Connection, stored: rows.StoredTurn) -> None:
        turn = stored.turn
        if turn.cancel_requested:
            self._end_unowned(connection, stored, "cancel", stored_json.CANCELLED)
            return
        queued = turn.with_(status=after(turn.status, "orphan"))
        if turn.attempt >= self._bounds.attempts:
            orphan = rows.StoredTurn(queued, stored.number, stored.home)
            self._end_unowned(connection, orphan, "fail", stored_json.attempts_exhausted(turn.attempt))
        else:
            self._requeue_row(connection, stored.number, turn.attempt)

    # --- workers ---

    def attach(
        self, seat: Seat, capacity: int, agent_limits: Mapping[str, int | None], connection: sqlite3.Connection
    ) -> None:
        """Fill the seat of a worker; a seat that is filled already gets the new size."""
        seat.capacity = capacity
        seat.agent_limits = agent_limits
        if seat not in self._lanes.seats:
            self._lanes.seats.append(seat)
        self._ownership.run_what_fits(connection)

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
                if (running := self._ownership.running(part.claim)) is not None
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
        running = self._ownership.owned(claim)
        now = self._clock()
        events = [*unwritten, *outcome.events]
        with stored_json.told_as_json("the outcome"):
            result = stored_json.result_text(outcome)
            state = stored_json.to_text(outcome.state.to_json()) if outcome.state else None
            chunk = rows.chunk_row(running.number, events) if events else None
        status = after("running", ENDING_MOVE[outcome.status])
        ended = connection.execute(
            "UPDATE turn SET status = ?, result = ?, finished_at = ?"
            " WHERE n = ? AND attempt = ? AND status = 'running'",
            (status, result, now, running.number, running.attempt),
        )
        if ended.rowcount != 1:
            raise lost(claim)
        if chunk:
            connection.execute(_INSERT_CHUNK, chunk)
        if state is not None and status in ("completed", "incomplete"):
            connection.execute(
                "INSERT OR REPLACE INTO state SELECT conversation, position, ? FROM turn WHERE n = ?",
                (state, running.number),
            )
        turn = stored_json.ended_turn(claim.turn, outcome, now).with_(
            stop_asked="cancel" if running.cancel_requested else None
        )
        self._lanes.end(turn.conversation, now)
        self._effects.append(Ended(turn, outcome.events))
        self._ownership.run_what_fits(connection)
        return turn

    def release(self, claim: Claim, unwritten: Sequence[TurnEvent], connection: sqlite3.Connection) -> None:
        """Give the turn back to the head of its lane; one that a user cancelled ends instead.

        Raises:
            OwnershipLost: nothing was written.
        """
        running = self._ownership.owned(claim)
        if unwritten:
            connection.execute(_INSERT_CHUNK, rows.chunk_row(running.number, unwritten))
        conversation = claim.turn.conversation
        if running.cancel_requested:
            (stored,) = rows.read_stored(connection, "t.n = ?", running.number)
            self._end_unowned(connection, stored, "cancel", stored_json.CANCELLED)
            self._lanes.end(conversation, self._clock())
        else:
            after("running", "release")
            self._requeue_row(connection, running.number, running.attempt)
            self._lanes.put_back(conversation)
            self._effects.append(Requeued(claim.turn.id))
        self._ownership.run_what_fits(connection)

    # --- accepting and cancelling ---

    def accept(self, new: NewTurn, connection: sqlite3.Connection) -> Accepted:
        """Store a turn; it starts in the same transaction when its lane is idle and a worker has a place.

        Raises:
            IdempotencyMismatch, ConversationNotFound, WrongAgent, NotLatest, ConversationBusy, LaneFull,
            QueueFull, NotJson: nothing was stored.
        """
        earlier = self._with_same_key(connection, new)
        if earlier is not None:
            return Accepted(earlier, created=False)
        home = self._conversations.home_of(connection, new)
        if new.follows is not None:
            _check_latest(connection, new)
        seat = self._lanes.seat_for_new(new.conversation, new.agent)
        if seat is None:
            self._check_bounds(new)
        with stored_json.told_as_json("the turn"):
            request = stored_json.request_text(new)
            items = stored_json.item_rows(home.next_position, new.items)
        number = self._conversations.settle(connection, home, new)
        connection.executemany(INSERT_ITEM, [(number, *item) for item in items])
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
            return self._end_unowned(connection, stored, "cancel", stored_json.CANCELLED)
        connection.execute("UPDATE turn SET cancel_requested = 1 WHERE n = ?", (stored.number,))
        running = self._lanes.owner(turn.conversation, turn_id, turn.attempt)
        assert running is not None
        running.cancel_requested = True
        if running.seat is not None:
            self._effects.append(StopAsked(running.seat, turn_id, turn.attempt))
        return turn.with_(stop_asked="cancel")

    def lanes(self, key: str | None, limit: int, connection: sqlite3.Connection) -> list[Lane]:
        return self._lanes.longest_waiting(key=key, limit=limit)

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

    def _check_bounds(self, new: NewTurn) -> None:
        """Refuse a turn that would have to wait where no more may wait."""
        lanes = self._lanes
        lane = lanes.lane(new.conversation)
        if lane is not None:
            if new.when_busy == "reject":
                raise ConversationBusy(new.conversation, lane.first_turn)
            bound = min(self._bounds.lane, new.max_queue or self._bounds.lane)
            if len(lane.waiting) >= bound:
                wait = lanes.retry_after(1, places=1)
                raise LaneFull(new.conversation, bound, wait)
        if lanes.queued >= self._bounds.total:
            # One place has to become free, and any of the running turns may make it.
            raise QueueFull(self._bounds.total, lanes.retry_after(lanes.queued, lanes.places()))

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
        return rows.number_of_new(inserted)

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
        self._effects.append(Claimed(seat, self._ownership.claim(connection, stored, stateless=fresh)))

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
            (status, stored_json.result_text(outcome), now, seq, stored.number),
        )
        connection.execute(_INSERT_CHUNK, rows.chunk_row(stored.number, [finished]))
        ended = stored_json.ended_turn(turn, outcome, now)
        self._effects.append(Ended(ended, [finished]))
        return ended

    @staticmethod
    def _requeue_row(connection: sqlite3.Connection, number: int, attempt: int) -> None:
        connection.execute(
            "UPDATE turn SET status = 'queued', events_from = ? WHERE n = ?",
            (attempt * EVENTS_PER_ATTEMPT, number),
        )


_INSERT_TURN: Final = """INSERT INTO turn (id, conversation, position, agent, key, status, attempt,
    events_from, cancel_requested, created_at, started_at, idempotency_key, fingerprint, request)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?)"""

_INSERT_CHUNK: Final = "INSERT INTO event_chunk (id, last_seq, events) VALUES (?, ?, ?)"


def _check_latest(connection: sqlite3.Connection, new: NewTurn) -> None:
    latest = connection.execute(
        "SELECT t.id FROM turn t JOIN conversation c ON t.conversation = c.n WHERE c.id = ?"
        " ORDER BY t.position DESC LIMIT 1",
        (new.conversation,),
    ).fetchone()
    if latest is None or latest[0] != new.follows:
        raise NotLatest(str(new.follows), latest[0] if latest else None)
