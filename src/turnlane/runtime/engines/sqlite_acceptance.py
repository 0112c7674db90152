"""How a message becomes a turn, or a part of one: in the writer's thread.

As in `sqlite_moves`, everything that may refuse comes before the first change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from turnlane.runtime.conversation import NewTurn, StopAsk, Turn
from turnlane.runtime.engine import (
    Accepted,
    ConversationBusy,
    IdempotencyMismatch,
    LaneFull,
    NotLatest,
    QueueFull,
    TurnFull,
)
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines import stored_json
from turnlane.runtime.engines.effects import Claimed, Queued
from turnlane.runtime.engines.lanes import Lanes, LiveLane, Running, Seat, Waiting
from turnlane.runtime.engines.sqlite_conversations import INSERT_ITEM, Conversations, Home
from turnlane.runtime.engines.sqlite_endings import Endings
from turnlane.runtime.engines.sqlite_ownership import Ownership
from turnlane.runtime.lifecycle import after
from turnlane.runtime.limits import Bounds

_SELECT_SAME_KEY: Final = """SELECT id, fingerprint FROM turn WHERE key = ?1 AND idempotency_key = ?2
    UNION ALL SELECT t.id, j.fingerprint FROM joined_key j JOIN turn t ON t.n = j.turn
    WHERE j.key = ?1 AND j.idempotency_key = ?2"""

_INSERT_TURN: Final = """INSERT INTO turn (id, conversation, position, agent, key, status, attempt,
    events_from, stop_asked, created_at, started_at, idempotency_key, fingerprint, request, not_before, delay)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?)"""


class Acceptance:
    """Takes messages as their `when_busy` says."""

    def __init__(
        self,
        ownership: Ownership,
        conversations: Conversations,
        endings: Endings,
        bounds: Bounds,
        clock: Callable[[], float],
    ) -> None:
        self._ownership = ownership
        self._conversations = conversations
        self._endings = endings
        self._bounds = bounds
        self._clock = clock

    @property
    def _lanes(self) -> Lanes:
        return self._ownership.lanes  # another object after a transaction was undone

    def accept(self, new: NewTurn, connection: sqlite3.Connection) -> Accepted:
        """Store a turn; it starts in the same transaction when its lane is idle and a worker has a place.

        Raises:
            IdempotencyMismatch, ConversationNotFound, WrongAgent, NotLatest, ConversationBusy, LaneFull,
            QueueFull, NotJson: nothing was stored.
        """
        earlier = _with_same_key(connection, new)
        if earlier is not None:
            return Accepted(earlier, created=False)
        home = self._conversations.home_of(connection, new)
        if new.follows is not None:
            _check_latest(connection, new)
        lane = self._lanes.lane(new.conversation)
        if (last := _to_join(lane, new)) is not None:
            return Accepted(self._join(connection, home, last, new), created=False, joined=True)
        stop: StopAsk | None = None
        if lane is not None and (new.when_busy == "interrupt" or new.when_busy == "rollback"):
            stop = new.when_busy
        return Accepted(self._add(connection, home, lane, new, stop), created=True)

    # --- a turn of its own ---

    def _add(
        self, connection: sqlite3.Connection, home: Home, lane: LiveLane | None, new: NewTurn, stop: StopAsk | None
    ) -> Turn:
        """Store a turn behind its lane, or in the place of all that is in it (`stop`)."""
        not_before = self._gathers_until(new)
        seat = None
        if not_before is None:
            seat = self._lanes.seat_for_new(new.conversation, new.agent, emptied=stop is not None)
        if seat is None:
            self._check_bounds(new, freed=len(lane.waiting) if lane is not None and stop else 0)
        with stored_json.told_as_json("the turn"):
            request = stored_json.request_text(new)
            items = stored_json.item_rows(home.next_position, new.items)
        if lane is not None and stop is not None:
            self._endings.stop_lane(connection, lane, stop)
        number = self._conversations.settle(connection, home, new)
        connection.executemany(INSERT_ITEM, [(number, *item) for item in items])
        turn = self._first_turn(new, home.next_position + len(items), not_before, running=seat is not None)
        turn_number = _insert_turn(connection, number, turn, new, request)
        if seat is None:
            self._enqueue(turn_number, turn, new.delay)
        else:
            self._start_at_once(connection, seat, turn_number, number, turn, fresh=home.number is None)
        return turn

    def _gathers_until(self, new: NewTurn) -> float | None:
        return self._clock() + new.delay if new.when_busy == "debounce" and new.delay > 0 else None

    def _check_bounds(self, new: NewTurn, freed: int) -> None:
        """Refuse a turn that would have to wait where no more may wait; `freed` turns make place for it."""
        lanes = self._lanes
        lane = lanes.lane(new.conversation)
        if lane is not None:
            if new.when_busy == "reject":
                raise ConversationBusy(new.conversation, lane.first_turn)
            bound = min(self._bounds.lane, new.max_queue or self._bounds.lane)
            if len(lane.waiting) - freed >= bound:
                raise LaneFull(new.conversation, bound, lanes.retry_after(1, places=1))
        if lanes.queued - freed >= self._bounds.total:
            # One place has to become free, and any of the running turns may make it.
            raise QueueFull(self._bounds.total, lanes.retry_after(lanes.queued, lanes.places()))

    def _first_turn(self, new: NewTurn, position: int, not_before: float | None, *, running: bool) -> Turn:
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
            not_before=not_before,
            created_at=new.created_at or now,
            started_at=now if running else None,
        )

    def _enqueue(self, number: int, turn: Turn, delay: float) -> None:
        waiting = Waiting(number, turn.id, turn.attempt, turn.created_at, turn.not_before, delay)
        self._lanes.wait(turn.conversation, turn.agent, turn.key, waiting)
        self._ownership.effects.append(Queued(turn.id))

    def _start_at_once(
        self, connection: sqlite3.Connection, seat: Seat, number: int, home: int, turn: Turn, *, fresh: bool
    ) -> None:
        assert turn.started_at is not None
        running = Running(number, turn.id, turn.attempt, turn.created_at, turn.started_at, seat)
        self._lanes.run_at_once(turn.conversation, turn.agent, turn.key, running)
        stored = rows.StoredTurn(turn, number, home)
        claim = self._ownership.claim(connection, stored, stateless=fresh)
        self._ownership.effects.append(Claimed(seat, claim))

    # --- a part of a turn that waits ---

    def _join(self, connection: sqlite3.Connection, home: Home, last: Waiting, new: NewTurn) -> Turn:
        """Add a message to a turn. That moves behind what was added to the conversation since, so that its agent
        sees this before the message, as whoever sent it does."""
        if last.joined >= self._bounds.lane:
            raise TurnFull(last.turn, self._bounds.lane, self._lanes.retry_after(1, places=1))
        (stored,) = rows.read_stored(connection, "t.n = ?", last.number)
        not_before, delay = self._gathers_on(stored.turn, new)
        is_last = stored.turn.position == home.next_position - 1 and not new.items
        position = stored.turn.position if is_last else home.next_position + len(new.items)
        turn = stored_json.joined_turn(stored.turn, new, not_before).with_(position=position)
        with stored_json.told_as_json("the turn"):
            request = stored_json.request_text(turn)
            items = stored_json.item_rows(home.next_position, new.items)
        connection.executemany(INSERT_ITEM, [(stored.home, *item) for item in items])
        connection.execute(
            "UPDATE turn SET request = ?, position = ?, not_before = ?, delay = ?, joined = joined + 1"
            " WHERE n = ?",
            (request, position, not_before, delay, last.number),
        )
        if new.idempotency_key is not None:
            connection.execute(
                "INSERT INTO joined_key (key, idempotency_key, fingerprint, turn) VALUES (?, ?, ?, ?)",
                (new.key, new.idempotency_key, new.fingerprint, last.number),
            )
        self._lanes.join(new.conversation, not_before, delay)
        return turn

    def _gathers_on(self, turn: Turn, new: NewTurn) -> tuple[float | None, float]:
        """Until when the turn gathers messages after `new` has joined it, and how long that is from now."""
        moments = [moment for moment in (turn.not_before, self._gathers_until(new)) if moment is not None]
        if not moments:
            return None, 0.0
        return max(moments), max(0.0, max(moments) - self._clock())


def _to_join(lane: LiveLane | None, new: NewTurn) -> Waiting | None:
    """The turn that takes the message in. One that has run before and waits again must ask the same again, so that
    its ledger answers."""
    if new.when_busy not in ("merge", "debounce") or lane is None or not lane.waiting:
        return None
    last = lane.waiting[-1]
    return last if last.attempt == 0 else None


def _with_same_key(connection: sqlite3.Connection, new: NewTurn) -> Turn | None:
    """The turn that was accepted with the same idempotency key, or that took the message in."""
    if new.idempotency_key is None:
        return None
    found = connection.execute(_SELECT_SAME_KEY, (new.key, new.idempotency_key)).fetchone()
    if found is None:
        return None
    turn_id, fingerprint = found
    if fingerprint != new.fingerprint:
        raise IdempotencyMismatch(turn_id)
    return rows.read_turn(connection, turn_id)


def _check_latest(connection: sqlite3.Connection, new: NewTurn) -> None:
    latest = connection.execute(
        "SELECT t.id FROM turn t JOIN conversation c ON t.conversation = c.n WHERE c.id = ?"
        " ORDER BY t.position DESC LIMIT 1",
        (new.conversation,),
    ).fetchone()
    if latest is None or latest[0] != new.follows:
        raise NotLatest(str(new.follows), latest[0] if latest else None)


def _insert_turn(connection: sqlite3.Connection, home: int, turn: Turn, new: NewTurn, request: str) -> int:
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
            new.fingerprint,
            request,
            turn.not_before,
            new.delay if turn.not_before is not None else 0.0,
        ),
    )
    return rows.number_of_new(inserted)
