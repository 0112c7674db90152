"""How a turn is asked to stop, and ends without a worker: in the writer's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, Failure, Outcome, StopAsk, Turn, TurnEvent
from turnlane.runtime.engines import sqlite_ledger, stored_json
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.effects import Ended, StopAsked
from turnlane.runtime.engines.lanes import LiveLane, Running
from turnlane.runtime.engines.sqlite_ownership import Ownership
from turnlane.runtime.lifecycle import Move, after

INSERT_CHUNK: Final = "INSERT INTO event_chunk (id, last_seq, events) VALUES (?, ?, ?)"


class Endings:
    """Ends what no worker ends, and asks workers to end what they run."""

    def __init__(self, ownership: Ownership, clock: Callable[[], float]) -> None:
        self._ownership = ownership
        self._clock = clock

    def ask_to_stop(self, connection: sqlite3.Connection, running: Running, why: StopAsk) -> StopAsk:
        """Have the worker of a running turn told; returns what it is told, now or before."""
        asked = stored_json.stop_after(running.stop_asked, why)
        if asked != running.stop_asked:
            connection.execute(
                "UPDATE turn SET stop_asked = ? WHERE n = ?", (rows.STOPS.index(asked), running.number)
            )
            running.stop_asked = asked
            if running.seat is not None:
                self._ownership.effects.append(StopAsked(running.seat, running.turn, running.attempt, asked))
        return asked

    def stop_lane(self, connection: sqlite3.Connection, lane: LiveLane, why: StopAsk) -> None:
        """End all that waits in a lane, and ask what runs in it to stop."""
        running = lane.running
        for waiting in self._ownership.lanes.empty(lane.conversation):
            (stored,) = rows.read_stored(connection, "t.n = ?", waiting.number)
            self.end_stopped(connection, stored, why)
        if running is not None:
            self.ask_to_stop(connection, running, why)

    def end_stopped(self, connection: sqlite3.Connection, stored: rows.StoredTurn, why: StopAsk) -> Turn:
        """End a turn that nobody runs, because it was to stop."""
        return self.end_unowned(connection, stored, *stored_json.STOPPED[why])

    def end_unowned(
        self, connection: sqlite3.Connection, stored: rows.StoredTurn, move: Move, failure: Failure | None
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
        connection.execute(INSERT_CHUNK, rows.chunk_row(stored.number, [finished]))
        if turn.attempt:
            sqlite_ledger.forget(connection, stored.number)
        ended = stored_json.ended_turn(turn, outcome, now)
        self._ownership.effects.append(Ended(ended, [finished], unowned=True))
        return ended
