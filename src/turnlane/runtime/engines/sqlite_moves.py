"""Every move of a turn: its rows, and in step with them the lanes.

Runs in the writer's thread, inside its transactions. A method refuses (raises `EngineError`) before it
writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    Lane,
    Outcome,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engines import sqlite_ledger, stored_json
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.effects import (
    Effect,
    Ended,
    Requeued,
)
from turnlane.runtime.engines.event_flush import Unwritten
from turnlane.runtime.engines.lanes import Lanes, Seat
from turnlane.runtime.engines.sqlite_endings import INSERT_CHUNK, Endings
from turnlane.runtime.engines.sqlite_ownership import Ownership, lost
from turnlane.runtime.lifecycle import ENDING_MOVE, after
from turnlane.runtime.limits import Bounds


class Moves:
    """The moves of `runtime.lifecycle`, as the writer makes them."""

    def __init__(
        self,
        ownership: Ownership,
        endings: Endings,
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        self._ownership = ownership
        self._endings = endings
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
        if turn.stop_asked is not None:
            self._endings.end_stopped(connection, stored, turn.stop_asked)
            return
        queued = turn.with_(status=after(turn.status, "orphan"))
        if turn.attempt >= self._bounds.attempts:
            orphan = rows.StoredTurn(queued, stored.number, stored.home)
            self._endings.end_unowned(connection, orphan, "fail", stored_json.attempts_exhausted(turn.attempt))
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
            INSERT_CHUNK,
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
        outcome = stored_json.outcome_after_stop(outcome, running.stop_asked)
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
            connection.execute(INSERT_CHUNK, chunk)
        if state is not None and status in ("completed", "incomplete"):
            connection.execute(
                "INSERT OR REPLACE INTO state SELECT conversation, position, ? FROM turn WHERE n = ?",
                (state, running.number),
            )
        if status != "needs_attention" and (running.recorded or running.attempt > 1):
            sqlite_ledger.forget(connection, running.number)
        turn = stored_json.ended_turn(claim.turn, outcome, now).with_(stop_asked=running.stop_asked)
        self._lanes.end(turn.conversation, now)
        self._effects.append(Ended(turn, outcome.events))
        self._ownership.run_what_fits(connection)
        return turn

    def release(self, claim: Claim, unwritten: Sequence[TurnEvent], connection: sqlite3.Connection) -> None:
        """Give the turn back to the head of its lane; one that is to stop ends instead.

        Raises:
            OwnershipLost: nothing was written.
        """
        running = self._ownership.owned(claim)
        if unwritten:
            connection.execute(INSERT_CHUNK, rows.chunk_row(running.number, unwritten))
        conversation = claim.turn.conversation
        if running.stop_asked is not None:
            (stored,) = rows.read_stored(connection, "t.n = ?", running.number)
            self._endings.end_stopped(connection, stored, running.stop_asked)
            self._lanes.end(conversation, self._clock())
        else:
            after("running", "release")
            self._requeue_row(connection, running.number, running.attempt)
            self._lanes.put_back(conversation)
            self._effects.append(Requeued(claim.turn.id))
        self._ownership.run_what_fits(connection)

    def record(self, claim: Claim, entries: str, connection: sqlite3.Connection) -> None:
        """Keep entries of the turn's ledger (`stored_json.ledger_text`).

        Raises:
            OwnershipLost: nothing was written.
        """
        running = self._ownership.owned(claim)
        sqlite_ledger.add(connection, running.number, entries)
        running.recorded = True

    def start_due(self, connection: sqlite3.Connection) -> None:
        """Start what has gathered messages for long enough."""
        self._ownership.run_what_fits(connection)

    def cancel(self, turn_id: str, connection: sqlite3.Connection) -> Turn | None:
        """End a queued turn; mark a running one and have its worker told."""
        found = rows.read_stored(connection, "t.id = ?", turn_id)
        if not found or found[0].turn.ended:
            return found[0].turn if found else None
        (stored,) = found
        turn = stored.turn
        if turn.status == "queued":
            self._lanes.drop(turn.conversation, turn_id)
            ended = self._endings.end_stopped(connection, stored, "cancel")
            # It may have been all that the next one waited for: a turn that gathered messages.
            self._ownership.run_what_fits(connection)
            return ended
        running = self._lanes.owner(turn.conversation, turn_id, turn.attempt)
        assert running is not None
        return turn.with_(stop_asked=self._endings.ask_to_stop(connection, running, "cancel"))

    def lanes(self, key: str | None, limit: int, connection: sqlite3.Connection) -> list[Lane]:
        return self._lanes.longest_waiting(key=key, limit=limit)

    # --- inside ---

    @staticmethod
    def _requeue_row(connection: sqlite3.Connection, number: int, attempt: int) -> None:
        connection.execute(
            "UPDATE turn SET status = 'queued', events_from = ? WHERE n = ?",
            (attempt * EVENTS_PER_ATTEMPT, number),
        )
