"""Who owns which turn: the lanes in step with the writer's transactions, and claims."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from turnlane.runtime.conversation import Claim, JsonObject, SavedState, carried_over
from turnlane.runtime.engine import EngineStats, OwnershipLost
from turnlane.runtime.engines import sqlite_ledger
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.effects import Claimed, Deleted, Effect, Ended, Requeued
from turnlane.runtime.engines.lanes import Lanes, Running, Seat, Waiting
from turnlane.runtime.lifecycle import after

# The second condition is implied; it lets SQLite use the index of turns that are not completed.
_SELECT_UNFINISHED: Final = """SELECT t.n, t.id, c.id, t.agent, t.key, t.status, t.attempt, t.created_at,
    t.started_at, t.stop_asked, t.not_before, t.delay, t.joined
    FROM turn t JOIN conversation c ON c.n = t.conversation
    WHERE t.status IN ('queued', 'running') AND t.status <> 'completed' ORDER BY t.n"""


class Ownership:
    """The lanes, as the rows say. When a transaction is undone they are drawn again from the rows.

    Lives in the writer's thread; only `picture` may be read from others.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lanes = Lanes()
        self.effects: list[Effect] = []
        """What the call that is being done means for the event loop."""
        self._clock = clock
        # As of the last commit; the rows don't tell which worker runs a turn.
        self._seats: list[Seat] = []
        self._owners: dict[str, Seat] = {}
        self._stale = False
        self.picture = EngineStats(queued=0, running=0, conversations_active=0, oldest_queued_at=None)
        """As of the last commit."""
        self.next_due: float | None = None
        """When the next turn has gathered messages for long enough; as of the last commit."""

    # --- in step with transactions (`sqlite_writer.Undoable`) ---

    def begin(self, connection: sqlite3.Connection) -> list[str]:
        """Draw the lanes for the first time; returns the ids of all turns that wait."""
        self.effects.clear()
        self.draw(connection)
        self._take_picture()
        return [row[1] for row in connection.execute(_SELECT_UNFINISHED)]

    def ready(self, connection: sqlite3.Connection) -> None:
        if self._stale:
            self.draw(connection)

    def take_effects(self) -> list[Effect]:
        effects, self.effects = self.effects, []
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
        self._seats = list(self.lanes.seats)
        self._take_picture()

    def forget(self) -> None:
        self.effects.clear()
        self._stale = True

    def draw(self, connection: sqlite3.Connection) -> None:
        """Make the lanes anew from the rows, which are the truth."""
        for seat in {*self._seats, *self._owners.values()}:
            seat.running = 0
            seat.running_of.clear()
        lanes = Lanes(self._seats)
        lanes.mean_seconds = self.lanes.mean_seconds
        for row in connection.execute(_SELECT_UNFINISHED):
            self._draw_one(lanes, row)
        self.lanes = lanes
        self._stale = False

    def _draw_one(self, lanes: Lanes, row: Sequence[Any]) -> None:
        n, turn, conversation, agent, key, status, attempt, created_at, started_at, stop, *gathering = row
        if status == "queued":
            lanes.wait(conversation, agent, key, Waiting(n, turn, attempt, created_at, *gathering))
            return
        owner = self._owners.get(turn)
        running = Running(n, turn, attempt, created_at, started_at, owner, rows.STOPS[stop], recorded=True)
        lanes.run_at_once(conversation, agent, key, running)

    # --- claims ---

    def run_what_fits(self, connection: sqlite3.Connection) -> None:
        """Claim for every free place the longest-waiting turn that may run."""
        while (running := self.lanes.take(self._clock())) is not None:
            assert running.seat is not None
            after("queued", "claim")
            connection.execute(
                "UPDATE turn SET status = 'running', attempt = ?, started_at = ? WHERE n = ?",
                (running.attempt, running.started_at, running.number),
            )
            (stored,) = rows.read_stored(connection, "t.n = ?", running.number)
            self.effects.append(Claimed(running.seat, self.claim(connection, stored)))

    def claim(self, connection: sqlite3.Connection, stored: rows.StoredTurn, *, stateless: bool = False) -> Claim:
        """The claim of a turn: with the saved state, and the items that this state has not seen.

        Args:
            stateless: the conversation is new, so no state has to be looked for.
        """
        state, absorbed = (None, -1) if stateless else self._state(connection, stored.home)
        items = _unseen(connection, stored, absorbed)
        ledger = sqlite_ledger.read(connection, stored.number) if stored.turn.attempt > 1 else []
        return Claim(stored.turn, state, items, ledger)

    def running(self, claim: Claim) -> Running | None:
        """What the claim runs; None: it no longer owns its turn."""
        return self.lanes.owner(claim.turn.conversation, claim.turn.id, claim.attempt)

    def owned(self, claim: Claim) -> Running:
        """Raises: OwnershipLost."""
        running = self.running(claim)
        if running is None:
            raise lost(claim)
        return running

    # --- inside ---

    def _take_picture(self) -> None:
        lanes = self.lanes
        self.picture = EngineStats(
            queued=lanes.queued,
            running=lanes.running,
            conversations_active=len(lanes),
            oldest_queued_at=lanes.oldest_queued_at(),
        )
        self.next_due = lanes.next_due()

    @staticmethod
    def _state(connection: sqlite3.Connection, home: int) -> tuple[SavedState | None, int]:
        """The conversation's state, and the position up to which it has seen the history."""
        row = connection.execute("SELECT data, absorbed FROM state WHERE conversation = ?", (home,)).fetchone()
        return (SavedState.from_json(json.loads(row[0])), row[1]) if row else (None, -1)


def _unseen(connection: sqlite3.Connection, stored: rows.StoredTurn, absorbed: int) -> list[JsonObject]:
    """What lies between the state and the turn, in order: items, and what interrupted turns left."""
    if stored.turn.position == absorbed + 1:
        return []
    between = (stored.home, absorbed, stored.turn.position)
    unseen: list[tuple[int, list[JsonObject]]] = [
        (position, [json.loads(data)])
        for position, data in connection.execute(
            "SELECT position, data FROM item WHERE conversation = ? AND position > ? AND position < ?", between
        )
    ]
    interrupted = rows.read_stored(
        connection,
        "t.conversation = ? AND t.position > ? AND t.position < ? AND t.status = 'interrupted'",
        *between,
    )
    unseen += [(one.turn.position, carried_over(one.turn)) for one in interrupted]
    unseen.sort(key=itemgetter(0))
    return [item for _, items in unseen for item in items]


def lost(claim: Claim) -> OwnershipLost:
    return OwnershipLost(f"attempt {claim.attempt} no longer owns turn {claim.turn.id}: drop everything it made")
