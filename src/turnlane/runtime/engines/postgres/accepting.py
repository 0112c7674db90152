"""Accepting turns: what a batch of messages means for its lanes, decided while these are held."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from turnlane.runtime.conversation import EVENTS_PER_ATTEMPT, NewTurn, Outcome, StopAsk, Turn
from turnlane.runtime.engine import (
    Accepted,
    ConversationBusy,
    ConversationNotFound,
    EngineError,
    IdempotencyMismatch,
    LaneFull,
    NotLatest,
    QueueFull,
    TurnFull,
    WrongAgent,
)
from turnlane.runtime.engines.postgres import rows
from turnlane.runtime.engines.postgres.batches import Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection
from turnlane.runtime.engines.stored_json import (
    STOPPED,
    item_rows,
    joined_turn,
    request_text,
    result_text,
    to_text,
    told_as_json,
)
from turnlane.runtime.lifecycle import after
from turnlane.runtime.limits import Bounds

QUEUES: Final = 1
"""Queues of each agent. A claim costs the same however deep a queue is, and one statement for each queue."""

EXACT_BELOW: Final = 1_000
"""Bounds up to which waiting turns are always counted; above, only when an estimate comes near the bound."""

LOOKS: Final = 5
"""How often turns to be stopped are looked at that change hands at the same moment."""

SHORTEST_RETRY: Final = 1.0
"""Seconds that a refused client is told to wait at least."""


@dataclass(slots=True)
class HeldLane:
    """A conversation as it is in this transaction, which holds its lane."""

    number: int | None
    key: str
    agent: str | None
    last_position: int = -1
    latest: str | None = None
    unfinished: int = 0
    waiting: int = 0
    first_turn: str | None = None
    last_waiting: int | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """A turn that asks to be accepted."""

    new: NewTurn


@dataclass
class Stopped:
    """What accepting a message did to the turns before it."""

    ended: list[Turn] = field(default_factory=list)
    asked: list[tuple[int | None, str, int, StopAsk]] = field(default_factory=list)
    """process, turn, attempt, why"""


class Told(Protocol):
    """What the engine hears of a batch, after its commit."""

    def accepted(self, turn: Turn, delay: float) -> None:
        """A turn waits; it may start in `delay` seconds."""
        ...

    def ended(self, turn: Turn) -> None: ...

    def stop(self, process: int | None, turn_id: str, attempt: int, why: StopAsk) -> None:
        """The owner of a running turn is to be told to stop."""
        ...


class Acceptance:
    """Decides and stores. One instance per engine; `estimate` is how many turns probably wait in all."""

    def __init__(self, bounds: Bounds, told: Told, mean_seconds: Callable[[], float]) -> None:
        self.bounds = bounds
        self.estimate = 0
        self.accepted = False
        """Whether turns were accepted here since somebody last counted."""
        self._told = told
        self._mean_seconds = mean_seconds
        self._agents: dict[str, int] = {}

    async def __call__(self, connection: Connection, calls: Sequence[Call]) -> list[Effect]:
        """Accept the turns of `calls` (`Accept`), in an open transaction."""
        batch = _Batch(self, connection, self._told)
        return await batch.accept(calls)

    def retry_after(self, waiting: int) -> float:
        return min(60.0, max(SHORTEST_RETRY, self._mean_seconds() * waiting))

    async def queue_of(self, connection: Connection, agent: str, conversation: str) -> str:
        """The queue of a conversation: by its hash, among those of its agent."""
        if agent not in self._agents:
            # Kept only after the commit would be exact; an agent's number never changes once it is made, and a
            # number whose transaction was undone is made again, so look until it is there for all to see.
            number = await connection.fetchval("SELECT n FROM turnlane.agent WHERE name = $1", agent)
            if number is None:
                number = await connection.fetchval("SELECT turnlane.add_agent($1, $2)", agent, QUEUES)
                return queue_name(number, conversation)
            self._agents[agent] = number
        return queue_name(self._agents[agent], conversation)


def queue_name(agent: int, conversation: str) -> str:
    return f"turnlane_{agent}_{zlib.crc32(conversation.encode('utf-8', 'replace')) % QUEUES}"


class _Batch:
    """One transaction of accepts."""

    def __init__(self, acceptance: Acceptance, connection: Connection, told: Told) -> None:
        self._acceptance = acceptance
        self._connection = connection
        self._told = told
        self._lanes: dict[str, HeldLane] = {}
        self._effects: list[Effect] = []
        self._unstored: list[tuple[Call, NewTurn, int, str]] = []
        """Turns that were decided on: call, turn, position, request."""
        self._unstored_conversations: list[NewTurn] = []
        self._unstored_items: list[tuple[str, int, str | None, str]] = []
        """Conversation, position, id, data."""
        self._same_keys: dict[tuple[str, str], tuple[str, str | None]] = {}
        """Idempotency keys that are taken: the turn, and the fingerprint of its request."""
        self._queued: int | None = None

    async def accept(self, calls: Sequence[Call]) -> list[Effect]:
        news = [call.what.new for call in calls]
        await self._hold({new.conversation for new in news})
        await self._find_same_keys(news)
        for call in calls:
            try:
                await self._accept_one(call, call.what.new)
            except EngineError as refusal:
                self._effects.append(partial(call.fail, refusal))
        await self._store()
        return self._effects

    # --- looking ---

    async def _hold(self, conversations: set[str]) -> None:
        found = await self._connection.fetch(
            "SELECT * FROM turnlane.look($1)", sorted(rows.storable(one) for one in conversations)
        )
        for row in found:
            self._lanes[row["id"]] = HeldLane(
                row["n"],
                row["key"],
                row["agent"],
                -1 if row["last_position"] is None else row["last_position"],
                row["latest"],
                row["unfinished"],
                row["waiting"],
                row["first_turn"],
                row["last_waiting"],
            )

    async def _earlier(self, call: Call, new: NewTurn) -> Accepted | None:
        """What became of this very request when it was tried before, or of one with its idempotency key."""
        if call.tries and (done := await rows.read_turn(self._connection, new.id)) is not None:
            return Accepted(done, created=True)
        if call.tries and (joined := await self._joined_before(new)) is not None:
            return Accepted(joined, created=False, joined=True)
        if new.idempotency_key is None or (same := self._same_keys.get((new.key, new.idempotency_key))) is None:
            return None
        turn_id, fingerprint = same
        if fingerprint != new.fingerprint:
            raise IdempotencyMismatch(turn_id)
        await self._store()  # it may be of this very batch
        turn = await rows.read_turn(self._connection, turn_id)
        assert turn is not None
        return Accepted(turn, created=False)

    async def _joined_before(self, new: NewTurn) -> Turn | None:
        """The turn that a message joined when it was tried before: it has the ids of its input items."""
        ids = {item["id"] for item in new.input if item.get("id") is not None}
        if new.when_busy not in ("merge", "debounce") or not ids:
            return None
        asked = rows.TurnFilter(new.key, new.conversation, None, None)
        latest = await rows.read_turns(self._connection, asked, self._acceptance.bounds.lane)
        return next((turn for turn in latest if ids <= {item.get("id") for item in turn.input}), None)

    async def _find_same_keys(self, news: Sequence[NewTurn]) -> None:
        keyed = [(new.key, new.idempotency_key) for new in news if new.idempotency_key is not None]
        if not keyed:
            return
        found = await self._connection.fetch(
            """SELECT a.i, t.id, i.fingerprint
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a (key, idempotency_key, i)
            JOIN turnlane.idempotency i ON i.key = a.key AND i.idempotency_key = a.idempotency_key
            JOIN turnlane.turn t ON t.n = i.turn""",
            [key for key, _ in keyed],
            [rows.storable(idempotency_key) for _, idempotency_key in keyed],
        )
        for row in found:
            self._same_keys[keyed[row["i"] - 1]] = (row["id"], row["fingerprint"])

    def _take_key(self, new: NewTurn, turn_id: str) -> None:
        if new.idempotency_key is not None:
            self._same_keys[new.key, new.idempotency_key] = (turn_id, new.fingerprint)

    def _lane(self, new: NewTurn) -> HeldLane:
        """Raises: ConversationNotFound, WrongAgent."""
        lane = self._lanes.get(rows.storable(new.conversation))
        if lane is None:
            if new.create_conversation is None:
                raise ConversationNotFound(new.conversation)
            return HeldLane(None, new.key, None)
        if lane.key != new.key:
            raise ConversationNotFound(new.conversation)
        if lane.agent is not None and lane.agent != new.agent:
            raise WrongAgent(new.conversation, lane.agent, new.agent)
        return lane

    # --- deciding ---

    async def _accept_one(self, call: Call, new: NewTurn) -> None:
        if (earlier := await self._earlier(call, new)) is not None:
            self._effects.append(partial(call.succeed, earlier))
            return
        lane = self._lane(new)
        if new.follows is not None and lane.latest != new.follows:
            raise NotLatest(new.follows, lane.latest)
        with told_as_json("the turn"):
            request = request_text(new)
            items = item_rows(lane.last_position + 1, new.items)
        stopped = False
        if lane.unfinished:
            if new.when_busy == "reject":
                raise ConversationBusy(new.conversation, str(lane.first_turn))
            if new.when_busy in ("merge", "debounce") and lane.waiting:
                if await self._join(call, new, lane):
                    return
                lane = self._lane(new)  # `_join` looked again
            if new.when_busy in ("interrupt", "rollback"):
                await self._check_total(-lane.waiting)
                await self._stop_lane(new, "interrupt" if new.when_busy == "interrupt" else "rollback")
                lane = self._lane(new)
                stopped = True
        if not stopped:
            # Nothing is refused once something was changed for it.
            await self._check_bounds(new, lane)
        await self._settle(lane, new, items)
        self._unstored.append((call, new, lane.last_position + len(items) + 1, request))
        self._take_key(new, new.id)
        lane.last_position += len(items) + 1
        lane.latest = new.id
        lane.unfinished += 1
        lane.waiting += 1
        lane.first_turn = lane.first_turn or new.id

    async def _check_bounds(self, new: NewTurn, lane: HeldLane) -> None:
        """Raises: LaneFull, QueueFull."""
        bound = min(self._acceptance.bounds.lane, new.max_queue or self._acceptance.bounds.lane)
        if lane.waiting >= bound:
            raise LaneFull(new.conversation, bound, self._acceptance.retry_after(1))
        await self._check_total(0)

    async def _check_total(self, less: int) -> None:
        """Raises: QueueFull, when with `less` turns more (fewer) there is no place for another."""
        bound = self._acceptance.bounds.total
        if self._queued is None and (bound <= EXACT_BELOW or self._acceptance.estimate > 0.8 * bound):
            self._queued = await self._connection.fetchval(
                "SELECT count(*) FROM turnlane.work WHERE status = 'queued'"
            )
        if self._queued is not None and self._queued + len(self._unstored) + less >= bound:
            raise QueueFull(bound, self._acceptance.retry_after(1))

    async def _join(self, call: Call, new: NewTurn, lane: HeldLane) -> bool:
        """Let the message join the last turn that waits; False: that one waits no longer."""
        await self._store()
        lane = await self._look_again(new)
        if lane.last_waiting is None:
            return False
        waiting = await self._connection.fetchrow(
            "SELECT id, joined, attempt FROM turnlane.work WHERE turn = $1", lane.last_waiting
        )
        # One that has run before and waits again must ask the same again, so that its ledger answers.
        if waiting is None or waiting["attempt"]:
            return False
        bound = self._acceptance.bounds.lane
        if waiting["joined"] >= bound:
            raise TurnFull(waiting["id"], bound, self._acceptance.retry_after(1))
        turn = await rows.read_turn(self._connection, waiting["id"])
        assert turn is not None
        # It moves behind what was added to the conversation since, so that its agent sees this before the message.
        is_last = turn.position == lane.last_position and not new.items
        position = turn.position if is_last else lane.last_position + len(new.items) + 1
        with told_as_json("the turn"):
            request = request_text(joined_turn(turn, new, None))
            items = item_rows(lane.last_position + 1, new.items)
        delay = new.delay if new.when_busy == "debounce" else 0.0
        done = await self._connection.fetchval(
            "SELECT turnlane.join_waiting($1, $2, $3, $4, $5, $6, $7)",
            lane.last_waiting,
            position,
            request,
            delay,
            new.key,
            None if new.idempotency_key is None else rows.storable(new.idempotency_key),
            new.fingerprint,
        )
        if not done:
            return False
        turn = await rows.read_turn(self._connection, waiting["id"])
        assert turn is not None
        self._unstored_items += [(new.conversation, *item) for item in items]
        self._take_key(new, turn.id)
        lane.last_position = max(lane.last_position, position)
        self._effects.append(partial(self._told.accepted, turn, delay))
        self._effects.append(partial(call.succeed, Accepted(turn, created=False, joined=True)))
        return True

    async def _stop_lane(self, new: NewTurn, why: StopAsk) -> None:
        """End what waits in the lane, and ask what runs to stop."""
        await self._store()
        stopped = await stop_turns(
            self._connection,
            await self._connection.fetch(
                """SELECT w.turn, w.id, w.status FROM turnlane.work w
                JOIN turnlane.conversation c ON c.n = w.conversation WHERE c.id = $1 ORDER BY w.position""",
                new.conversation,
            ),
            why,
        )
        self._effects += stopped_effects(self._told, stopped)
        self._queued = None
        await self._look_again(new)

    async def _look_again(self, new: NewTurn) -> HeldLane:
        await self._hold({new.conversation})
        return self._lanes[new.conversation]

    # --- storing ---

    async def _settle(self, lane: HeldLane, new: NewTurn, items: Sequence[tuple[int, str | None, str]]) -> None:
        """The conversation is there and belongs to the turn's agent; its items are to be stored."""
        if lane.number is None:
            if new.conversation not in self._lanes:
                self._lanes[new.conversation] = lane
                self._unstored_conversations.append(new)
            lane.agent = new.agent
        elif lane.agent is None:
            await self._connection.execute(
                "UPDATE turnlane.conversation SET agent = $1 WHERE n = $2", new.agent, lane.number
            )
            lane.agent = new.agent
        self._unstored_items += [(new.conversation, *item) for item in items]

    async def _store_conversations(self) -> None:
        news, self._unstored_conversations = self._unstored_conversations, []
        made = [new.create_conversation for new in news if new.create_conversation is not None]
        if made:
            await self._connection.execute(
                """INSERT INTO turnlane.conversation (id, key, agent, metadata, created_at)
                SELECT a.id, a.key, a.agent, a.metadata, coalesce(nullif(a.created_at, 0), turnlane.now())
                FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[])
                    AS a (id, key, agent, metadata, created_at)""",
                [conversation.id for conversation in made],
                [new.key for new in news],
                [new.agent for new in news],
                [to_text(dict(conversation.metadata)) for conversation in made],
                [conversation.created_at for conversation in made],
            )

    async def _store_items(self) -> None:
        items, self._unstored_items = self._unstored_items, []
        if items:
            await self._connection.execute(
                """INSERT INTO turnlane.item SELECT c.n, a.position, a.id, a.data
                FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[]) AS a (home, position, id, data)
                JOIN turnlane.conversation c ON c.id = a.home""",
                [home for home, _, _, _ in items],
                [position for _, position, _, _ in items],
                [None if item_id is None else rows.storable(item_id) for _, _, item_id, _ in items],
                [data for _, _, _, data in items],
            )

    async def _store(self) -> None:
        """Store the turns that were decided on."""
        await self._store_conversations()
        await self._store_items()
        unstored, self._unstored = self._unstored, []
        if not unstored:
            return
        self._acceptance.estimate += len(unstored)
        self._acceptance.accepted = True
        if self._queued is not None:
            self._queued += len(unstored)
        news = [new for _, new, _, _ in unstored]
        delays = [new.delay if new.when_busy == "debounce" else 0.0 for new in news]
        stored = await self._connection.fetch(
            "SELECT * FROM turnlane.accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            [new.id for new in news],
            [new.conversation for new in news],
            [position for _, _, position, _ in unstored],
            [new.agent for new in news],
            [new.key for new in news],
            [new.created_at for new in news],
            [None if new.idempotency_key is None else rows.storable(new.idempotency_key) for new in news],
            [new.fingerprint for new in news],
            [request for _, _, _, request in unstored],
            [await self._acceptance.queue_of(self._connection, new.agent, new.conversation) for new in news],
            delays,
        )
        times = {row["id"]: (row["n"], row["created_at"], row["not_before"]) for row in stored}
        for (call, new, position, _), delay in zip(unstored, delays, strict=True):
            _, created_at, not_before = times[new.id]
            turn = _first_turn(new, position, created_at, not_before)
            self._effects.append(partial(self._told.accepted, turn, delay))
            self._effects.append(partial(call.succeed, Accepted(turn, created=True)))


def _first_turn(new: NewTurn, position: int, created_at: float, not_before: float | None) -> Turn:
    return Turn(
        id=new.id,
        conversation=new.conversation,
        agent=new.agent,
        key=new.key,
        position=position,
        status="queued",
        attempt=0,
        input=list(new.input),
        metadata=new.metadata,
        options=new.options,
        request_id=new.request_id,
        idempotency_key=new.idempotency_key,
        not_before=not_before,
        created_at=created_at,
    )


async def create_conversation(
    connection: Connection, id: str, key: str, agent: str | None, metadata: Any, created_at: float
) -> int:
    """Insert one; returns the number of its row."""
    number: int = await connection.fetchval(
        """INSERT INTO turnlane.conversation (id, key, agent, metadata, created_at)
        VALUES ($1, $2, $3, $4, coalesce(nullif($5::float8, 0), turnlane.now())) RETURNING n""",
        id,
        key,
        agent,
        to_text(dict(metadata)),
        created_at,
    )
    return number


async def insert_items(connection: Connection, home: int, items: Sequence[tuple[int, str | None, str]]) -> None:
    await connection.execute(
        "INSERT INTO turnlane.item SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::text[])",
        home,
        [position for position, _, _ in items],
        [None if item_id is None else rows.storable(item_id) for _, item_id, _ in items],
        [data for _, _, data in items],
    )


# --- stopping ---


async def stop_turns(connection: Connection, found: Sequence[Any], why: StopAsk) -> Stopped:
    """End those of `found` (rows of turn, id, status) that wait, ask those that run to stop. The lane is held."""
    stopped = Stopped()
    left = {row["turn"]: row["id"] for row in found}
    waiting = [row["turn"] for row in found if row["status"] == "queued"]
    for _ in range(LOOKS):
        if waiting:
            ended = await _end_waiting(connection, waiting, why)
            stopped.ended += await _turns(connection, [left.pop(number) for number in ended])
        # What was claimed at this very moment runs now.
        if left:
            asked = await connection.fetch("SELECT * FROM turnlane.ask_to_stop($1, $2)", list(left), why)
            stopped.asked += [(row["process"], row["id"], row["attempt"], row["stop_asked"]) for row in asked]
            left = _without(left, [row["turn"] for row in asked])
        # What was given back at this very moment waits again.
        waiting = await _still_there(connection, list(left))
        left = {number: left[number] for number in waiting}
        if not left:
            break
    return stopped


def _without(left: Mapping[int, str], numbers: Sequence[int]) -> dict[int, str]:
    return {number: id for number, id in left.items() if number not in numbers}


async def _end_waiting(connection: Connection, waiting: Sequence[int], why: StopAsk) -> set[int]:
    move, failure = STOPPED[why]
    status = after("queued", move)
    result = result_text(Outcome(status=status, failure=failure))
    return await end_unowned(connection, [(number, status, result) for number in waiting])


async def _still_there(connection: Connection, numbers: Sequence[int]) -> list[int]:
    if not numbers:
        return []
    found = await connection.fetch("SELECT turn FROM turnlane.work WHERE turn = ANY ($1)", numbers)
    return [row["turn"] for row in found]


async def _turns(connection: Connection, ids: Sequence[str]) -> list[Turn]:
    return [look.turn for look in await rows.look_at(connection, ids)] if ids else []


async def end_unowned(connection: Connection, ends: Sequence[tuple[int, str, str]]) -> set[int]:
    """End turns that wait, given as number, status and result; returns the numbers of those that did end."""
    done = await connection.fetch(
        "SELECT turn FROM turnlane.end_unowned($1, $2, $3, $4)",
        [number for number, _, _ in ends],
        [status for _, status, _ in ends],
        [result for _, _, result in ends],
        EVENTS_PER_ATTEMPT,
    )
    return {row["turn"] for row in done}


def stopped_effects(told: Told, stopped: Stopped) -> list[Effect]:
    effects: list[Effect] = [partial(told.ended, turn) for turn in stopped.ended]
    effects += [partial(told.stop, *asked) for asked in stopped.asked]
    return effects
