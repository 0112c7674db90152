"""What workers do to turns: claim, show events, record, end, give back. One transaction for all that waits."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Final, Protocol

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    Outcome,
    SavedState,
    StopAsk,
    Turn,
    TurnEvent,
    carried_over,
)
from turnlane.runtime.engine import OwnershipLost, Worker
from turnlane.runtime.engines.lanes import Seat
from turnlane.runtime.engines.live import LiveTurn
from turnlane.runtime.engines.postgres import rows
from turnlane.runtime.engines.postgres.accepting import end_unowned
from turnlane.runtime.engines.postgres.batches import Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection
from turnlane.runtime.engines.stored_json import (
    STOPPED,
    attempts_exhausted,
    ended_turn,
    events_text,
    ledger_of,
    outcome_after_stop,
    request_fields,
    result_fields,
    result_text,
    to_text,
    told_as_json,
)
from turnlane.runtime.lifecycle import ENDING_MOVE, after
from turnlane.runtime.limits import Bounds

SAVING: Final = ("completed", "incomplete")
"""Statuses with which a turn's state is kept."""


@dataclass(slots=True, eq=False)
class Hold:
    """A turn that runs in this process."""

    claim: Claim
    number: int
    receipt: int
    seat: Seat
    worker: Worker
    live: LiveTurn
    stop_asked: StopAsk | None = None
    parts: int = 0
    """Parts of the ledger that this attempt has recorded."""
    ending: asyncio.Future[Any] | None = None

    @property
    def id(self) -> str:
        return self.claim.turn.id


# --- what is asked ---


@dataclass(frozen=True, slots=True)
class Finish:
    hold: Hold
    outcome: Outcome
    unwritten: Sequence[TurnEvent]


@dataclass(frozen=True, slots=True)
class Release:
    hold: Hold
    unwritten: Sequence[TurnEvent]


@dataclass(frozen=True, slots=True)
class Record:
    hold: Hold
    part: int
    entries: str


@dataclass(frozen=True, slots=True)
class Show:
    """Events that readers have seen here and the store has not; one of them for all running turns."""

    parts: Sequence[tuple[Hold, Sequence[TurnEvent]]]


@dataclass(frozen=True, slots=True)
class Recover:
    """Turns whose owners are gone: those of `processes`; and `adrift` ones, which this process owns and never
    heard of: the answer to its claim was lost."""

    processes: Sequence[int]
    adrift: Sequence[int] = ()


class Owner(Protocol):
    """What the engine offers to this room, and hears of a batch after its commit."""

    lease: float
    bounds: Bounds

    @property
    def process(self) -> int:
        """The number of this process among those that use the database."""
        ...

    def may_claim(self) -> bool:
        """Whether there may be something to claim that no call here has made ready."""
        ...

    def rooms(self) -> Mapping[str, int]:
        """How many turns of each agent may be claimed now; empty: none."""
        ...

    def total_room(self) -> int: ...

    def holds(self, number: int) -> bool:
        """Whether this process knows that it owns the turn."""
        ...

    def claimed(self, claim: Claim, number: int, receipt: int) -> None: ...

    def filled(self, agent: str) -> None:
        """As many turns of the agent were claimed as there was room for: more may wait."""
        ...

    def finished(self, hold: Hold, turn: Turn, events: Sequence[TurnEvent]) -> None: ...

    def given_back(self, hold: Hold) -> None: ...

    def lost(self, hold: Hold) -> None: ...

    def stored(self, hold: Hold, last_seq: int) -> None:
        """Events up to this number can be read by other processes."""
        ...

    def stopped(self, hold: Hold, why: StopAsk) -> None: ...

    def ended(self, turn: Turn) -> None:
        """A turn that nobody ran has ended."""
        ...

    def requeued(self, turn_id: str, agent: str) -> None:
        """A turn waits again; another process ran it."""
        ...


class Working:
    """The handler of the workers' batches."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    async def __call__(self, connection: Connection, calls: Sequence[Call]) -> list[Effect]:
        kinds: dict[type, list[Call]] = defaultdict(list)
        for call in calls:
            kinds[type(call.what)].append(call)
        effects: list[Effect] = []
        for call in kinds[Show]:
            effects += await self._show(connection, call)
        if kinds[Record]:
            effects += await self._record(connection, kinds[Record])
        if kinds[Finish]:
            effects += await self._finish(connection, kinds[Finish])
        for call in kinds[Release]:
            effects += await self._release(connection, call)
        for call in kinds[Recover]:
            effects += await self._recover(connection, call)
        # What only shows or records makes no turn ready. With deep lanes a look costs more than that.
        if calls and not self._owner.may_claim() and {type(call.what) for call in calls} <= {Show, Record}:
            return effects
        return effects + await self._claim(connection)

    # --- events and ledgers ---

    async def _show(self, connection: Connection, call: Call) -> list[Effect]:
        parts = [(hold, events) for hold, events in call.what.parts if events]
        owned = await self._show_parts(connection, parts)
        effects: list[Effect] = []
        for hold, events in parts:
            if hold.number in owned:
                effects.append(partial(self._owner.stored, hold, events[-1].seq))
            else:
                effects.append(partial(self._owner.lost, hold))
        return [*effects, partial(call.succeed, None)]

    async def _show_parts(
        self, connection: Connection, parts: Sequence[tuple[Hold, Sequence[TurnEvent]]]
    ) -> set[int]:
        if not parts:
            return set()
        found = await connection.fetch(
            "SELECT turn FROM turnlane.show($1, $2, $3, $4, $5)",
            [hold.number for hold, _ in parts],
            [hold.receipt for hold, _ in parts],
            [events[0].seq for _, events in parts],
            [events[-1].seq for _, events in parts],
            [events_text(events) for _, events in parts],
        )
        return {row["turn"] for row in found}

    async def _record(self, connection: Connection, calls: Sequence[Call]) -> list[Effect]:
        asked: list[Record] = [call.what for call in calls]
        found = await connection.fetch(
            "SELECT turn FROM turnlane.record($1, $2, $3, $4)",
            [record.hold.number for record in asked],
            [record.hold.receipt for record in asked],
            [record.part for record in asked],
            [record.entries for record in asked],
        )
        owned = {row["turn"] for row in found}
        effects: list[Effect] = []
        for call in calls:
            if call.what.hold.number in owned:
                effects.append(partial(call.succeed, None))
            else:
                effects += self._lost(call, call.what.hold)
        return effects

    def _lost(self, call: Call, hold: Hold) -> list[Effect]:
        return [partial(self._owner.lost, hold), partial(call.fail, lost(hold.claim))]

    # --- ending ---

    async def _finish(self, connection: Connection, calls: Sequence[Call]) -> list[Effect]:
        """End the turns. One that was asked to stop meanwhile is looked at again, with what was asked."""
        effects: list[Effect] = []
        left = list(calls)
        while left:
            outcomes = [outcome_after_stop(call.what.outcome, call.what.hold.stop_asked) for call in left]
            done = {row["turn"]: row for row in await self._finish_once(connection, left, outcomes)}
            again: list[Call] = []
            for call, outcome in zip(left, outcomes, strict=True):
                hold: Hold = call.what.hold
                row = done.get(hold.number)
                if row is None:
                    effects += await self._finished_before(connection, call, outcome)
                elif row["finished_at"] is None:
                    hold.stop_asked = row["stop_asked"]
                    again.append(call)
                else:
                    turn = ended_turn(hold.claim.turn, outcome, row["finished_at"])
                    turn = turn.with_(stop_asked=row["stop_asked"])
                    effects.append(partial(self._owner.finished, hold, turn, outcome.events))
                    effects.append(partial(call.succeed, turn))
            left = again
        return effects

    async def _finish_once(
        self, connection: Connection, calls: Sequence[Call], outcomes: Sequence[Outcome]
    ) -> Sequence[Any]:
        holds: list[Hold] = [call.what.hold for call in calls]
        shown = [[*call.what.unwritten, *outcome.events] for call, outcome in zip(calls, outcomes, strict=True)]
        found: Sequence[Any] = await connection.fetch(
            "SELECT * FROM turnlane.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [hold.number for hold in holds],
            [hold.receipt for hold in holds],
            [after("running", ENDING_MOVE[outcome.status]) for outcome in outcomes],
            [result_text(outcome) for outcome in outcomes],
            [state_text(outcome) for outcome in outcomes],
            [events[0].seq if events else 0 for events in shown],
            [events[-1].seq if events else 0 for events in shown],
            [events_text(events) if events else None for events in shown],
            [outcome.status == "needs_attention" for outcome in outcomes],
            [hold.stop_asked for hold in holds],
        )
        return found

    async def _finished_before(self, connection: Connection, call: Call, outcome: Outcome) -> list[Effect]:
        """Not owned any more; or our own commit, whose answer was lost with the connection."""
        hold: Hold = call.what.hold
        if call.tries:
            turn = await rows.read_turn(connection, hold.id)
            if turn is not None and turn.ended and turn.attempt == hold.claim.attempt:
                text = await connection.fetchval("SELECT result FROM turnlane.turn WHERE n = $1", hold.number)
                if turn.status == outcome.status and text == result_text(outcome):
                    return [
                        partial(self._owner.finished, hold, turn, outcome.events),
                        partial(call.succeed, turn),
                    ]
        return self._lost(call, hold)

    async def _release(self, connection: Connection, call: Call) -> list[Effect]:
        hold: Hold = call.what.hold
        await self._show_parts(connection, [(hold, call.what.unwritten)] if call.what.unwritten else [])
        back = await put_back(connection, [hold.number], [hold.receipt])
        if not back and not (call.tries and await self._waits_again(connection, hold)):
            return self._lost(call, hold)
        effects: list[Effect] = [partial(self._owner.given_back, hold)]
        effects += await self._end_some(connection, [hold.number], attempts=None)
        return [*effects, partial(call.succeed, None)]

    async def _waits_again(self, connection: Connection, hold: Hold) -> bool:
        return bool(
            await connection.fetchval(
                "SELECT true FROM turnlane.work WHERE turn = $1 AND status = 'queued' AND attempt = $2",
                hold.number,
                hold.claim.attempt,
            )
        )

    # --- turns of the dead ---

    async def _recover(self, connection: Connection, call: Call) -> list[Effect]:
        asked: Recover = call.what
        found = await connection.fetch(
            """SELECT turn, receipt, id, agent FROM turnlane.work
            WHERE status = 'running' AND (process = ANY ($1) OR turn = ANY ($2) AND process = $3)
            ORDER BY turn FOR UPDATE SKIP LOCKED""",
            list(asked.processes),
            # Claims are heard of in the order of the batches: by now it is known what was heard of.
            [number for number in asked.adrift if not self._owner.holds(number)],
            self._owner.process,
        )
        back = await put_back(connection, [row["turn"] for row in found], [row["receipt"] for row in found])
        effects = await self._end_some(connection, back, attempts=self._owner.bounds.attempts)
        effects += [partial(self._owner.requeued, row["id"], row["agent"]) for row in found]
        return [*effects, partial(call.succeed, None)]

    async def _end_some(
        self, connection: Connection, numbers: Sequence[int], *, attempts: int | None
    ) -> list[Effect]:
        """End those of the turns that wait again which must not: asked to stop, or run `attempts` times."""
        if not numbers:
            return []
        found = await connection.fetch(
            """SELECT turn, id, attempt, stop_asked FROM turnlane.work
            WHERE turn = ANY ($1) AND status = 'queued' AND (stop_asked IS NOT NULL OR attempt >= $2)""",
            list(numbers),
            attempts,
        )
        ends = [(row["turn"], *_last_word(row["stop_asked"], row["attempt"])) for row in found]
        if not ends:
            return []
        ended = await end_unowned(connection, ends)
        ids = [row["id"] for row in found if row["turn"] in ended]
        return [partial(self._owner.ended, look.turn) for look in await rows.look_at(connection, ids)]

    # --- claiming ---

    async def _claim(self, connection: Connection) -> list[Effect]:
        rooms = self._owner.rooms()
        if not rooms:
            return []
        total = self._owner.total_room()
        found = await connection.fetch(
            "SELECT * FROM turnlane.claim($1, $2, $3, $4, $5, $6)",
            self._owner.process,
            list(rooms),
            list(rooms.values()),
            total,
            max(1, round(self._owner.lease)),
            EVENTS_PER_ATTEMPT,
        )
        unseen = await self._unseen(connection, [row["n"] for row in found if _may_have_unseen(row)])
        effects: list[Effect] = [
            partial(self._owner.claimed, _claim_of(row, unseen.get(row["n"], ())), row["n"], row["receipt"])
            for row in sorted(found, key=itemgetter("n"))
        ]
        return [*effects, *(partial(self._owner.filled, agent) for agent in _filled(found, rooms, total))]

    async def _unseen(self, connection: Connection, numbers: Sequence[int]) -> dict[int, list[Any]]:
        if not numbers:
            return {}
        unseen: dict[int, list[Any]] = defaultdict(list)
        for row in await connection.fetch("SELECT * FROM turnlane.unseen($1)", numbers):
            unseen[row["turn"]].append(row)
        return unseen


def _filled(found: Sequence[Any], rooms: Mapping[str, int], total: int) -> list[str]:
    """The agents of which more may wait than there was room for."""
    claimed = Counter(row["agent"] for row in found)
    return [agent for agent, room in rooms.items() if claimed[agent] >= room or len(found) >= total]


def _may_have_unseen(row: Any) -> bool:
    """Whether anything can lie between what the state has seen and the turn."""
    return bool(row["position"] > (-1 if row["absorbed"] is None else row["absorbed"]) + 1)


def _claim_of(row: Any, unseen: Sequence[Any]) -> Claim:
    turn = Turn(
        id=row["id"],
        conversation=row["conversation"],
        agent=row["agent"],
        key=row["key"],
        position=row["position"],
        status="running",
        attempt=row["attempt"],
        not_before=row["not_before"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        idempotency_key=row["idempotency_key"],
        **request_fields(row["request"]),
    )
    items: list[Any] = []
    for one in unseen:
        if one["item"] is not None:
            items.append(json.loads(one["item"]))
        else:
            said = turn.with_(
                id=one["said_turn"], **request_fields(one["request"]), **result_fields(one["result"])
            )
            items += carried_over(said)
    return Claim(
        turn,
        SavedState.from_json(json.loads(row["state"])) if row["state"] is not None else None,
        items,
        [entry for text in row["ledgers"] or () for entry in ledger_of(text)],
    )


async def put_back(connection: Connection, numbers: Sequence[int], receipts: Sequence[int]) -> list[int]:
    """Give running turns back to the heads of their lanes; returns those that were."""
    if not numbers:
        return []
    found = await connection.fetch(
        "SELECT turn FROM turnlane.put_back($1, $2, $3)", list(numbers), list(receipts), EVENTS_PER_ATTEMPT
    )
    return [row["turn"] for row in found]


def _last_word(stop_asked: StopAsk | None, attempts: int) -> tuple[str, str]:
    """Status and result of a turn that is not run again."""
    if stop_asked is not None:
        move, failure = STOPPED[stop_asked]
    else:
        move, failure = "fail", attempts_exhausted(attempts)
    status = after("queued", move)
    return status, result_text(Outcome(status=status, failure=failure))


def state_text(outcome: Outcome) -> str | None:
    """The state to keep; None: the one from before stays."""
    if outcome.state is None or outcome.status not in SAVING:
        return None
    return to_text(outcome.state.to_json())


def check_storable(outcome: Outcome, unwritten: Sequence[TurnEvent]) -> None:
    """Raises NotJson before anything is written."""
    with told_as_json("the outcome"):
        result_text(outcome)
        state_text(outcome)
        events_text([*unwritten, *outcome.events])


def lost(claim: Claim) -> OwnershipLost:
    return OwnershipLost(f"attempt {claim.attempt} no longer owns turn {claim.turn.id}: drop everything it made")
