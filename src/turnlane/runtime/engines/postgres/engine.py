"""The engine of a cluster: any number of front ends and workers over one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

from turnlane.runtime.conversation import (
    Claim,
    Conversation,
    Entry,
    JsonObject,
    Lane,
    LedgerEntry,
    NewTurn,
    Outcome,
    Status,
    StopAsk,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import Accepted, Engine, EngineStats, EngineUnavailable, Worker
from turnlane.runtime.engines.event_flush import EventFlush, Unwritten
from turnlane.runtime.engines.lanes import NEWEST_WEIGHT, Seat
from turnlane.runtime.engines.live import LiveTurn
from turnlane.runtime.engines.postgres import conversations, pooler, rows, schema
from turnlane.runtime.engines.postgres.accepting import Accept, Acceptance
from turnlane.runtime.engines.postgres.batches import Batches, Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection, Link, explain, place_of
from turnlane.runtime.engines.postgres.leases import Leases
from turnlane.runtime.engines.postgres.notices import Kind, LimitsSql, Notices
from turnlane.runtime.engines.postgres.reading import Pages, Reader
from turnlane.runtime.engines.postgres.shared_limits import PostgresSharedLimits
from turnlane.runtime.engines.postgres.working import (
    Finish,
    Hold,
    Record,
    Recover,
    Release,
    Show,
    Working,
    check_storable,
    lost,
)
from turnlane.runtime.engines.stored_json import ledger_text, told_as_json
from turnlane.runtime.lifecycle import ENDED
from turnlane.runtime.limits import Bounds
from turnlane.runtime.shared_limits import SharedLimits
from turnlane.telemetry.outage import Outage

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a request waits for a database that is away, before it is told."""

SOON: Final = 0.01
"""Seconds that an event waits for others before it is stored and shown to other processes."""

READERS: Final = 3
"""Connections for reading; made when they are needed."""


class PostgresEngine(Engine):
    """Turns in a PostgreSQL database, for any number of processes.

    What has not ended and is run or watched here is also in memory (`LiveTurn`); everything else is in the
    database, and each change of one process is told to the others by a notice.

    Args:
        url: `postgresql://user:password@host:port/database`, as libpq takes it.
        bounds: how much may wait.
        lease: seconds after which turns of a process that was not heard of are run by others.
        tick: seconds between two looks at what a lost notice may have told, and at other processes.
        grace: seconds in which a process that lost its connection may come back before it counts as dead.
    """

    def __init__(
        self, url: str, *, bounds: Bounds | None = None, lease: float = 15.0, tick: float = 1.0, grace: float = 1.0
    ) -> None:
        self.url = url
        self.bounds = bounds or Bounds()
        self.lease = lease
        self._outage = Outage()
        self._closed: EngineUnavailable | None = None
        self._opened = False
        self._live: dict[str, LiveTurn] = {}
        self._watchers: Counter[str] = Counter()
        self._holds: dict[str, Hold] = {}
        self._workers: dict[Seat, Worker] = {}
        self._claiming = False
        self._mean_seconds = 1.0
        self._refreshing: set[str] = set()
        self._recovering: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._acceptance = Acceptance(self.bounds, _Told(self), lambda: self._mean_seconds)
        self._front = Batches("front", url, Link(url, self._outage), self._work_front, patience=PATIENCE)
        self._back = Batches("workers", url, Link(url, self._outage), Working(self), self._may_claim, self._unsure)
        self._reader = Reader(url, self._outage, READERS, PATIENCE)
        self._pages = Pages(self._reader)
        self._notices = Notices(url, self._outage, self._hear, self._reconnected)
        self._leases = Leases(url, self._outage, self, lease=lease, tick=tick, grace=grace)
        self._flush = EventFlush(self._submit_events, soon=SOON)
        self._limits = PostgresSharedLimits(LimitsSql(self._notices, self._reader.fetch))

    def __repr__(self) -> str:
        return f"<PostgresEngine {place_of(self.url)!r}: {len(self._holds)} running here>"

    @property
    def trouble(self) -> str | None:
        return self._outage.reason

    @property
    def shared_limits(self) -> SharedLimits | None:
        return self._limits

    @property
    def process(self) -> int:
        """The number of this process among those that use the database."""
        return self._leases.process

    # --- opening and closing ---

    async def open(self) -> None:
        try:
            await pooler.refuse_transaction_mode(self.url)
            await self._make_schema_ready()
            await self._leases.open()
            await self._notices.open(self.process)
        except EngineUnavailable:
            await self._stop(EngineUnavailable(f"{place_of(self.url)} was not opened"), goodbye=False)
            raise
        except Exception as error:
            await self._stop(EngineUnavailable(f"{place_of(self.url)} was not opened"), goodbye=False)
            raise explain(error, self.url) from error
        self._opened = True
        self._front.start()
        self._back.start()
        if self._recovering is not None:
            # What a process that died left behind waits again when this one begins.
            await asyncio.wait({self._recovering}, timeout=PATIENCE)

    async def _make_schema_ready(self) -> None:
        link = Link(self.url, self._outage)
        try:
            async with link.use() as connection:
                await schema.make_ready(connection, self.url)
        finally:
            await link.close()

    async def close(self) -> None:
        if self._closed is not None:
            return
        if self._opened:
            self._workers_gone()
            await self._flush.close()
            await self._front.finish(self._patience_to_finish)
            await self._give_back_all()
            await self._back.finish(self._patience_to_finish)
        await self._stop(EngineUnavailable(f"{place_of(self.url)} is closed"), goodbye=True)

    @property
    def _patience_to_finish(self) -> float:
        return 10.0 if self.trouble is None else 1.0

    async def crash(self) -> None:
        """Let go of everything as a kill -9 would, for tests: nothing is written that was not yet."""
        self._flush.drop()
        for link in (self._front.link, self._back.link, self._leases):
            link.drop()
        await self._stop(EngineUnavailable(f"{place_of(self.url)} is closed"), goodbye=False)

    async def _stop(self, reason: EngineUnavailable, *, goodbye: bool) -> None:
        self._closed = reason
        await self._leases.stop(goodbye=goodbye)
        await self._notices.close(goodbye=goodbye)
        await self._front.close(reason)
        await self._back.close(reason)
        await self._reader.close(reason)
        for task in self._tasks:
            task.cancel()
        for live in list(self._live.values()):
            live.fail(reason)
        self._live.clear()
        self._holds.clear()
        self._workers.clear()

    def _workers_gone(self) -> None:
        for seat in self._workers:
            seat.capacity = 0

    async def _give_back_all(self) -> None:
        """What still runs here is run by others at once, and not only when the lease is over."""
        holds = [hold for hold in self._holds.values() if hold.ending is None]
        releases = [self._back.submit(Release(hold, tuple(hold.live.unwritten))) for hold in holds]
        if releases and self.trouble is None:
            await asyncio.wait(releases, timeout=5)

    # --- workers ---

    async def attach(self, worker: Worker) -> None:
        self._check_open()
        seat = self._seat_of(worker)
        if seat is None:
            seat = Seat(worker.capacity, dict(worker.agent_limits))
            self._workers[seat] = worker
        seat.capacity, seat.agent_limits = worker.capacity, dict(worker.agent_limits)
        self._wake_claims()

    async def detach(self, worker: Worker) -> None:
        # The seat stays known: its running turns may have to be stopped.
        if (seat := self._seat_of(worker)) is not None:
            seat.capacity = 0

    async def publish(self, claim: Claim, events: Sequence[TurnEvent]) -> None:
        hold = self._owned(claim)
        hold.live.show(events)
        self._flush.add(hold.live, claim)
        if self._flush.is_behind(hold.live):
            await self._flush.wait_for(hold.live)

    async def record(self, claim: Claim, entries: Sequence[LedgerEntry]) -> None:
        hold = self._owned(claim)
        with told_as_json("the ledger"):
            text = ledger_text(entries)
        hold.parts += 1
        await self._back.submit(Record(hold, hold.parts, text))

    async def ledger(self, turn_id: str) -> list[LedgerEntry]:
        return await self._reader.read(partial(_on(rows.read_ledger), turn_id))

    async def commit(self, claim: Claim, outcome: Outcome) -> Turn:
        if outcome.status not in ENDED:
            raise ValueError(f"a turn can't be committed as {outcome.status}: that is no end")
        async with self._ending(claim) as hold:
            unwritten = tuple(hold.live.unwritten)
            check_storable(outcome, unwritten)
            hold.ending = self._back.submit(Finish(hold, outcome, unwritten))
            turn: Turn = await asyncio.shield(hold.ending)
            return turn

    async def release(self, claim: Claim) -> None:
        async with self._ending(claim) as hold:
            hold.ending = self._back.submit(Release(hold, tuple(hold.live.unwritten)))
            await asyncio.shield(hold.ending)

    @asynccontextmanager
    async def _ending(self, claim: Claim) -> AsyncIterator[Hold]:
        """Nothing else ends or shows what this attempt made, while the block runs.

        Raises:
            OwnershipLost
        """
        hold = self._owned(claim)
        while hold.ending is not None:
            await asyncio.wait({hold.ending})
            hold = self._owned(claim)
        hold.live.committing = True
        try:
            await self._flush.settled(hold.live)
            hold = self._owned(claim)
            yield hold
        finally:
            hold.live.committing = False
            hold.ending = None

    # --- accepting and reading turns ---

    async def accept(self, new: NewTurn) -> Accepted:
        accepted: Accepted = await self._front.submit(Accept(new))
        return accepted

    async def cancel(self, turn_id: str) -> Turn | None:
        turn: Turn | None = await self._change(partial(conversations.cancel, turn_id, _Told(self)))
        return turn

    async def turn(self, turn_id: str) -> Turn | None:
        return await self._reader.read(partial(_on(rows.read_turn), turn_id))

    async def turns(
        self,
        *,
        key: str | None = None,
        conversation: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Turn]:
        asked = rows.TurnFilter(key, conversation, status, before)
        return await self._reader.read(partial(_on(rows.read_turns), asked, limit))

    async def wait(self, turn_id: str, timeout: float | None = None) -> Turn | None:
        async with self._watching(turn_id) as (live, turn):
            if live is None:
                return turn
            try:
                async with asyncio.timeout(timeout):
                    await live.end()
            except TimeoutError:
                return await self.turn(turn_id)
            return live.ended

    async def events(self, turn_id: str, *, after: int = -1, follow: bool = True) -> AsyncIterator[TurnEvent]:
        async with self._watching(turn_id) as (live, _):
            if live is None:
                while page := await self._pages.read(turn_id, after):
                    for event in page:
                        yield event
                    after = page[-1].seq
                return
            while True:
                after = max(after, live.floor - 1)
                if live.deleted:
                    return
                for event in await self._next_events(live, after):
                    if event.seq < live.floor:
                        break  # superseded while the reader was busy with the event before
                    yield event
                    after = event.seq
                if after < live.last_seq:
                    continue
                # From here to `change` nothing may be awaited, else a change is missed.
                if live.failed is not None:
                    raise EngineUnavailable(str(live.failed))
                if live.over or not follow:
                    return
                await live.change()

    async def superseded_events(self, turn_id: str) -> list[TurnEvent]:
        return await self._reader.read(partial(_on(rows.read_superseded_events), turn_id))

    async def lanes(self, *, key: str | None = None, limit: int = 100) -> list[Lane]:
        return await self._reader.read(partial(_on(rows.read_lanes), key, limit))

    async def stats(self) -> EngineStats:
        stats = await self._reader.read(rows.read_stats)
        self._acceptance.estimate = stats.queued
        self._acceptance.accepted = False
        return stats

    # --- conversations ---

    async def create_conversation(self, conversation: Conversation, items: Sequence[JsonObject] = ()) -> None:
        await self._change(partial(conversations.create, conversation, items))

    async def conversation(self, conversation_id: str) -> Conversation | None:
        return await self._reader.read(partial(_on(rows.read_conversation), conversation_id))

    async def update_conversation(self, conversation_id: str, metadata: Mapping[str, str]) -> Conversation | None:
        updated: Conversation | None = await self._change(partial(conversations.update, conversation_id, metadata))
        return updated

    async def delete_conversation(self, conversation_id: str) -> bool:
        deleted: bool = await self._change(partial(conversations.delete, conversation_id, self._deleted_all))
        return deleted

    async def add_items(self, conversation_id: str, items: Sequence[JsonObject]) -> None:
        await self._change(partial(conversations.add_items, conversation_id, items))

    async def delete_item(self, conversation_id: str, item_id: str) -> bool:
        deleted: bool = await self._change(partial(conversations.delete_item, conversation_id, item_id))
        return deleted

    async def entries(
        self, conversation_id: str, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> list[Entry]:
        return await self._reader.read(
            partial(_on(rows.read_entries), conversation_id, after, limit, newest_first)
        )

    async def state(self, conversation_id: str) -> JsonObject | None:
        return await self._reader.read(partial(_on(rows.read_state), conversation_id))

    # --- inside: calls ---

    def _check_open(self) -> None:
        if self._closed is not None or not self._opened:
            raise EngineUnavailable(str(self._closed or f"{place_of(self.url)} is not open"))

    async def _change(self, change: conversations.Change) -> Any:
        return await self._front.submit(change)

    async def _work_front(self, connection: Connection, calls: Sequence[Call]) -> list[Effect]:
        """Accepts that follow each other are one batch; what lies between them is done in its place."""
        effects: list[Effect] = []
        accepts: list[Call] = []
        for call in calls:
            if isinstance(call.what, Accept):
                accepts.append(call)
                continue
            if accepts:
                effects += await self._acceptance(connection, accepts)
                accepts = []
            effects += await conversations.make(call, connection)
        if accepts:
            effects += await self._acceptance(connection, accepts)
        return effects

    def _submit_events(self, unwritten: Sequence[Unwritten]) -> asyncio.Future[None]:
        parts = [
            (hold, part.events)
            for part in unwritten
            if (hold := self._holds.get(part.claim.turn.id)) is not None
            and hold.claim.attempt == part.claim.attempt
        ]
        return self._back.submit(Show(parts))

    # --- inside: claims and what runs here (`working.Owner`) ---

    def rooms(self) -> Mapping[str, int]:
        self._claiming = False
        if self._closed is not None:
            return {}
        rooms: dict[str, int] = {}
        for seat in self._workers:
            free = seat.capacity - seat.running
            for agent, limit in seat.agent_limits.items():
                room = free if limit is None else min(free, limit - seat.running_of.get(agent, 0))
                if room > 0:
                    rooms[agent] = rooms.get(agent, 0) + room
        return rooms

    def holds(self, number: int) -> bool:
        return any(hold.number == number for hold in self._holds.values())

    def total_room(self) -> int:
        return sum(max(0, seat.capacity - seat.running) for seat in self._workers)

    def _may_claim(self) -> bool:
        return self._claiming

    def _unsure(self) -> None:
        """What was claimed last may be ours without our knowing; `owned` hears of it."""
        self._leases.hasten()

    def _wake_claims(self, delay: float = 0.0) -> None:
        if not self._workers or self._closed is not None:
            return
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._wake_claims)
            return
        self._claiming = True
        self._back.wake()

    def claimed(self, claim: Claim, number: int, receipt: int) -> None:
        turn = claim.turn
        live = self._live.get(turn.id)
        if live is None:
            live = self._live[turn.id] = LiveTurn(turn.id)
        live.begin(claim)
        fitting = [seat for seat in self._workers if seat.has_room(turn.agent)]
        seat = max(fitting, key=lambda seat: seat.capacity - seat.running, default=None)
        if seat is None:
            # Detached while it was claimed.
            self._give_back(Hold(claim, number, receipt, Seat(0, {}), _NOBODY, live))
            return
        hold = Hold(claim, number, receipt, seat, self._workers[seat], live)
        seat.take(turn.agent)
        self._holds[turn.id] = hold
        if not self._call(hold.worker.deliver, claim):
            # A worker that can't take a turn gets no more; another, or the next attach, takes this one.
            seat.capacity = 0
            self._back.submit(Release(hold, ()))

    def _give_back(self, hold: Hold) -> None:
        hold.seat.take(hold.claim.turn.agent)
        self._holds[hold.id] = hold
        self._back.submit(Release(hold, ()))

    def finished(self, hold: Hold, turn: Turn, events: Sequence[TurnEvent]) -> None:
        self._let_go(hold)
        seconds = max(0.0, (turn.finished_at or 0.0) - (turn.started_at or 0.0))
        self._mean_seconds += NEWEST_WEIGHT * (seconds - self._mean_seconds)
        hold.live.finish(turn, events)
        self._forget(hold.id)
        self._notices.tell("ended", turn.id)
        self._told_work(turn.agent)

    def given_back(self, hold: Hold) -> None:
        self._let_go(hold)
        hold.live.requeue()
        self._forget(hold.id)
        self._told_work(hold.claim.turn.agent)

    def lost(self, hold: Hold) -> None:
        if self._holds.get(hold.id) is not hold:
            return
        self._let_go(hold)
        self._call(hold.worker.lost, hold.id, hold.claim.attempt)
        hold.live.attempt = None
        self._forget(hold.id)
        if hold.id in self._live:
            self._refresh([hold.id])
        self._wake_claims()

    def stored(self, hold: Hold, last_seq: int) -> None:
        self._notices.tell("events", [hold.id, hold.claim.first_seq, last_seq])

    def stopped(self, hold: Hold, why: StopAsk) -> None:
        if hold.stop_asked != why:
            hold.stop_asked = why
            self._call(hold.worker.stop, hold.id, hold.claim.attempt, why)

    def ended(self, turn: Turn) -> None:
        """A turn that nobody ran has ended."""
        if (live := self._live.get(turn.id)) is not None:
            self._refresh([turn.id])
            del live
        self._notices.tell("ended", turn.id)
        self._told_work(turn.agent)

    def requeued(self, turn_id: str, agent: str) -> None:
        self._refresh([turn_id])
        self._told_work(agent)

    def _let_go(self, hold: Hold) -> None:
        if self._holds.get(hold.id) is hold:
            del self._holds[hold.id]
            hold.seat.free(hold.claim.turn.agent)

    def _told_work(self, agent: str, delay: float = 0.0) -> None:
        """A turn of the agent may start (in `delay` seconds)."""
        if any(seat.has_room(agent) for seat in self._workers):
            self._wake_claims(delay)
            if not delay:
                return
        self._notices.tell("work", [agent, delay])

    # --- inside: what this process lives by (`leases.Living`) ---

    def holding(self) -> Sequence[Hold]:
        return list(self._holds.values())

    def owned(self, held: Sequence[Hold], rows: Sequence[Any]) -> None:
        ours = {row["turn"]: row for row in rows}
        for hold in held:
            row = ours.get(hold.number)
            if hold.ending is not None or self._holds.get(hold.id) is not hold:
                continue
            if row is None or row["receipt"] != hold.receipt:
                self.lost(hold)
            elif row["stop_asked"] is not None:
                self.stopped(hold, row["stop_asked"])
        known = {hold.number for hold in self._holds.values()}
        if adrift := [number for number in ours if number not in known]:
            self._back.submit(Recover((), adrift))

    def gone(self, processes: Sequence[int]) -> None:
        self._recovering = self._back.submit(Recover(processes))

    def look_around(self) -> None:
        self._wake_claims()
        watched = [turn_id for turn_id in self._watchers if turn_id not in self._holds]
        if watched:
            self._refresh(watched)
        if self._holds:
            self._spawn(self._look_for_stops())
        if self._acceptance.accepted:
            self._spawn(self.stats())  # whether the whole queue comes near its bound

    async def _look_for_stops(self) -> None:
        """Requests to stop whose notice was lost."""
        by_number = {hold.number: hold for hold in self._holds.values()}
        found = await self._reader.fetch(
            "SELECT turn, stop_asked FROM turnlane.work WHERE turn = ANY ($1) AND stop_asked IS NOT NULL",
            list(by_number),
        )
        for row in found:
            hold = by_number[row["turn"]]
            if self._holds.get(hold.id) is hold:
                self.stopped(hold, row["stop_asked"])

    # --- inside: what other processes tell ---

    def _hear(self, kind: Kind, values: list[Any]) -> None:
        match kind:
            case "work":
                for agent, delay in values:
                    if any(agent in seat.agent_limits for seat in self._workers):
                        self._wake_claims(delay)
            case "ended":
                self._refresh([turn_id for turn_id in values if turn_id in self._live])
            case "events":
                for turn_id, floor, last_seq in values:
                    live = self._live.get(turn_id)
                    if live is not None and live.attempt is None:
                        live.follow(floor, last_seq)
            case "stop":
                for process, turn_id, attempt, why in values:
                    if process == self.process:
                        self._stop_asked(turn_id, attempt, why)
            case "deleted":
                for turn_id in values:
                    self._deleted(turn_id)

    def _reconnected(self) -> None:
        self._leases.hasten()
        self._wake_claims()
        self._refresh([turn_id for turn_id in self._watchers if turn_id not in self._holds])

    def _stop_asked(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        hold = self._holds.get(turn_id)
        if hold is not None and hold.claim.attempt == attempt:
            self.stopped(hold, why)

    def _deleted_all(self, turn_ids: Sequence[str]) -> None:
        for turn_id in turn_ids:
            self._deleted(turn_id)
            self._notices.tell("deleted", turn_id)
        self._wake_claims()

    def _deleted(self, turn_id: str) -> None:
        if (hold := self._holds.get(turn_id)) is not None:
            self._let_go(hold)
            self._call(hold.worker.lost, hold.id, hold.claim.attempt)
        if (live := self._live.get(turn_id)) is not None:
            live.delete()
            self._forget(turn_id)

    # --- inside: what is watched here ---

    @asynccontextmanager
    async def _watching(self, turn_id: str) -> AsyncIterator[tuple[LiveTurn | None, Turn | None]]:
        """The turn as something to wait for; (None, turn): it has ended, or (None, None): there is none."""
        self._check_open()
        self._watchers[turn_id] += 1
        try:
            live = self._live.get(turn_id)
            if live is None or live.attempt is None:
                live = self._live.setdefault(turn_id, LiveTurn(turn_id))
                looks = await self._look([turn_id])
                if not looks:
                    yield None, None
                    return
                if live.ended is not None:
                    yield None, live.ended
                    return
            yield live, None
        finally:
            self._watchers[turn_id] -= 1
            if not self._watchers[turn_id]:
                del self._watchers[turn_id]
                self._forget(turn_id)

    def _forget(self, turn_id: str) -> None:
        if turn_id not in self._watchers and turn_id not in self._holds:
            self._live.pop(turn_id, None)

    async def _look(self, turn_ids: Sequence[str]) -> list[rows.Look]:
        """Read how far turns are, and tell those who wait for them."""
        if not turn_ids:
            return []
        looks = await self._reader.read(partial(_on(rows.look_at), turn_ids))
        for look in looks:
            live = self._live.get(look.turn.id)
            if live is None or look.turn.id in self._holds or live.over:
                continue
            live.follow(look.floor, look.last_seq)
            if look.turn.ended:
                live.finish(look.turn, ())
        return looks

    def _refresh(self, turn_ids: Sequence[str]) -> None:
        """Look at turns again soon; those that are gone were deleted."""
        wanted = [turn_id for turn_id in turn_ids if turn_id in self._live]
        if not wanted or self._closed is not None:
            return
        start = not self._refreshing
        self._refreshing.update(wanted)
        if start:
            self._spawn(self._refresh_all())

    async def _refresh_all(self) -> None:
        while self._refreshing:
            wanted = list(self._refreshing)
            try:
                found = await self._reader.read(partial(_on(rows.glance_at), wanted))
                ended = [glance.id for glance in found if glance.ended and glance.id in self._live]
                await self._look(ended)
            except EngineUnavailable:
                self._refreshing.clear()  # the next tick looks again
                return
            self._refreshing.difference_update(wanted)
            for glance in found:
                live = self._live.get(glance.id)
                if live is not None and not live.over and glance.id not in self._holds:
                    live.follow(glance.floor, glance.last_seq)
            for turn_id in {*wanted} - {glance.id for glance in found}:
                self._deleted(turn_id)

    async def _next_events(self, live: LiveTurn, after: int) -> Sequence[TurnEvent]:
        """The next events behind `after` that exist, from the tail or else a page of the store."""
        if after >= live.tail_after:
            return live.since(after)
        if live.attempt is not None and not live.over:
            await self._flush.wait_for(live)
        return await self._pages.read(live.id, after)

    # --- inside ---

    def _owned(self, claim: Claim) -> Hold:
        if self._closed is not None:
            raise EngineUnavailable(str(self._closed))
        hold = self._holds.get(claim.turn.id)
        if hold is None or hold.claim.attempt != claim.attempt:
            raise lost(claim)
        return hold

    def _seat_of(self, worker: Worker) -> Seat | None:
        return next((seat for seat, known in self._workers.items() if known is worker), None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _call(self, callback: Callable[..., None], *arguments: object) -> bool:
        """Call a worker: False when it raised. An error of one must not keep the others from their turns."""
        try:
            callback(*arguments)
            return True
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{callback!r} of a worker raised; it must not", "exception": error}
            )
            return False


class _Told:
    """What the engine hears of accepted and stopped turns (`accepting.Told`)."""

    def __init__(self, engine: PostgresEngine) -> None:
        self._engine = engine

    def accepted(self, turn: Turn, delay: float) -> None:
        self._engine._told_work(turn.agent, delay)

    def ended(self, turn: Turn) -> None:
        self._engine.ended(turn)

    def stop(self, process: int | None, turn_id: str, attempt: int, why: StopAsk) -> None:
        if process == self._engine.process:
            self._engine._stop_asked(turn_id, attempt, why)
        else:
            self._engine._notices.tell("stop", [process, turn_id, attempt, why])


class _Nobody:
    capacity = 0
    agent_limits: Mapping[str, int | None] = {}

    def deliver(self, claim: Claim) -> None: ...

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None: ...

    def lost(self, turn_id: str, attempt: int) -> None: ...


_NOBODY: Final = _Nobody()


def _on(read: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """`read` with the connection as its last argument: to be filled up with `partial`."""

    def with_connection(*arguments: Any) -> Awaitable[T]:
        *rest, connection = arguments
        return read(connection, *rest)

    return with_connection


async def _quietly(work: Awaitable[Any]) -> None:
    try:
        await work
    except EngineUnavailable:
        return
