"""The engine of a cluster: any number of front ends and workers over one PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final

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
from turnlane.runtime.engines.live import LiveTurn, events_of
from turnlane.runtime.engines.postgres import conversations, pooler, rows, schema
from turnlane.runtime.engines.postgres.accepting import Accept, Acceptance
from turnlane.runtime.engines.postgres.batches import Batches, Call, Effect
from turnlane.runtime.engines.postgres.connection import Connection, Link, explain, place_of
from turnlane.runtime.engines.postgres.leases import Leases
from turnlane.runtime.engines.postgres.notices import Kind, LimitsSql, Notices
from turnlane.runtime.engines.postgres.reading import Pages, Reader, on
from turnlane.runtime.engines.postgres.running import Running
from turnlane.runtime.engines.postgres.shared_limits import PostgresSharedLimits
from turnlane.runtime.engines.postgres.watching import Watching
from turnlane.runtime.engines.postgres.working import (
    Finish,
    Hold,
    Record,
    Recover,
    Release,
    Show,
    check_storable,
)
from turnlane.runtime.engines.stored_json import ledger_text, told_as_json
from turnlane.runtime.lifecycle import ENDED
from turnlane.runtime.limits import Bounds
from turnlane.runtime.shared_limits import SharedLimits
from turnlane.telemetry.outage import Outage

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
        # Not over as soon as one connection works: another may fail beside it.
        self._outage = Outage(quiet=1.0)
        self._closed: EngineUnavailable | None = None
        self._opened = False
        self._recovering: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reader = Reader(url, self._outage, READERS, PATIENCE)
        self._pages = Pages(self._reader)
        self._notices = Notices(url, self._outage, self._hear, self._reconnected)
        self._running = Running(url, Link(url, self._outage), self._notices, self.bounds, lease)
        self._watching = Watching(
            self._reader, self._running.holds_by_turn.__contains__, self._running.deleted, self._spawn
        )
        self._leases = Leases(url, self._outage, self, lease=lease, tick=tick, grace=grace)
        self._running.watching, self._running.leases = self._watching, self._leases
        self._back = self._running.back
        self._told = _Told(self._running, self._notices)
        self._acceptance = Acceptance(self.bounds, self._told, lambda: self._running.mean_seconds)
        self._front = Batches("front", url, Link(url, self._outage), self._work_front, patience=PATIENCE)
        self._flush = EventFlush(self._submit_events, soon=SOON)
        self._limits = PostgresSharedLimits(LimitsSql(self._notices, self._reader.fetch))

    def __repr__(self) -> str:
        return f"<PostgresEngine {place_of(self.url)!r}: {len(self._running.holds_by_turn)} running here>"

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
            self._running.detach_all()
            await self._flush.close()
            await self._front.finish(self._patience_to_finish)
            await self._running.give_back_all(PATIENCE if self.trouble is None else 1.0)
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
        self._outage.close()
        await self._leases.stop(goodbye=goodbye)
        await self._notices.close(goodbye=goodbye)
        await self._front.close(reason)
        await self._back.close(reason)
        await self._reader.close(reason)
        for task in self._tasks:
            task.cancel()
        self._watching.fail(reason)
        self._running.clear()

    # --- workers ---

    async def attach(self, worker: Worker) -> None:
        self._check_open()
        self._running.attach(worker)

    async def detach(self, worker: Worker) -> None:
        self._running.detach(worker)

    async def publish(self, claim: Claim, events: Sequence[TurnEvent]) -> None:
        hold = self._hold_of(claim)
        hold.live.show(events)
        self._flush.add(hold.live, claim)
        if self._flush.is_behind(hold.live):
            await self._flush.wait_for(hold.live)

    async def record(self, claim: Claim, entries: Sequence[LedgerEntry]) -> None:
        hold = self._hold_of(claim)
        with told_as_json("the ledger"):
            text = ledger_text(entries)
        hold.parts += 1
        await self._back.submit(Record(hold, hold.parts, text))

    async def ledger(self, turn_id: str) -> list[LedgerEntry]:
        return await self._reader.read(partial(on(rows.read_ledger), turn_id))

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
        hold = self._hold_of(claim)
        while hold.ending is not None:
            await asyncio.wait({hold.ending})
            hold = self._hold_of(claim)
        hold.live.committing = True
        try:
            await self._flush.settled(hold.live)
            hold = self._hold_of(claim)
            yield hold
        finally:
            hold.live.committing = False
            hold.ending = None

    # --- accepting and reading turns ---

    async def accept(self, new: NewTurn) -> Accepted:
        accepted: Accepted = await self._front.submit(Accept(new))
        return accepted

    async def cancel(self, turn_id: str) -> Turn | None:
        turn: Turn | None = await self._change(partial(conversations.cancel, turn_id, self._told))
        return turn

    async def turn(self, turn_id: str) -> Turn | None:
        return await self._reader.read(partial(on(rows.read_turn), turn_id))

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
        return await self._reader.read(partial(on(rows.read_turns), asked, limit))

    async def wait(self, turn_id: str, timeout: float | None = None) -> Turn | None:
        self._check_open()
        async with self._watching.watch(turn_id) as (live, turn):
            if live is None:
                return turn
            try:
                async with asyncio.timeout(timeout):
                    await live.end()
            except TimeoutError:
                return await self.turn(turn_id)
            return live.ended

    async def events(self, turn_id: str, *, after: int = -1, follow: bool = True) -> AsyncIterator[TurnEvent]:
        self._check_open()
        async with self._watching.watch(turn_id) as (live, _):
            if live is None:
                while page := await self._pages.read(turn_id, after):
                    for event in page:
                        yield event
                    after = page[-1].seq
                return
            async with aclosing(events_of(live, after, self._next_events, follow=follow)) as events:
                async for event in events:
                    yield event

    async def superseded_events(self, turn_id: str) -> list[TurnEvent]:
        return await self._reader.read(partial(on(rows.read_superseded_events), turn_id))

    async def lanes(self, *, key: str | None = None, limit: int = 100) -> list[Lane]:
        return await self._reader.read(partial(on(rows.read_lanes), key, limit))

    async def stats(self) -> EngineStats:
        stats = await self._reader.read(rows.read_stats)
        self._acceptance.estimate = stats.queued
        self._acceptance.accepted = False
        return stats

    # --- conversations ---

    async def create_conversation(self, conversation: Conversation, items: Sequence[JsonObject] = ()) -> None:
        await self._change(partial(conversations.create, conversation, items))

    async def conversation(self, conversation_id: str) -> Conversation | None:
        return await self._reader.read(partial(on(rows.read_conversation), conversation_id))

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
        return await self._reader.read(partial(on(rows.read_entries), conversation_id, after, limit, newest_first))

    async def state(self, conversation_id: str) -> JsonObject | None:
        return await self._reader.read(partial(on(rows.read_state), conversation_id))

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
            if (hold := self._running.holds_by_turn.get(part.claim.turn.id)) is not None
            and hold.claim.attempt == part.claim.attempt
        ]
        return self._back.submit(Show(parts))

    # --- inside: what this process lives by (`leases.Living`) ---

    def holding(self) -> Sequence[Hold]:
        return self._running.holding()

    def owned(self, held: Sequence[Hold], rows: Sequence[Any]) -> None:
        self._running.owned(held, rows)

    def gone(self, processes: Sequence[int]) -> None:
        self._recovering = self._back.submit(Recover(processes))

    def look_around(self) -> None:
        self._running.wake()
        self._watching.refresh_all()
        if self._running.holds_by_turn:
            self._spawn(self._look_for_stops())
        if self._acceptance.accepted:
            self._spawn(self.stats())  # whether the whole queue comes near its bound

    async def _look_for_stops(self) -> None:
        """Requests to stop whose notice was lost."""
        found = await self._reader.fetch(
            "SELECT id, attempt, stop_asked FROM turnlane.work WHERE turn = ANY ($1) AND stop_asked IS NOT NULL",
            [hold.number for hold in self._running.holding()],
        )
        for row in found:
            self._running.stop(row["id"], row["attempt"], row["stop_asked"])

    # --- inside: what other processes tell ---

    def _hear(self, kind: Kind, values: list[Any]) -> None:
        match kind:
            case "work":
                for agent, delay in values:
                    self._running.hear_work(agent, delay)
            case "ended":
                self._watching.refresh(values, ended=True)
            case "events":
                for turn_id, floor, last_seq in values:
                    self._watching.follow(turn_id, floor, last_seq)
            case "stop":
                for process, turn_id, attempt, why in values:
                    if process == self.process:
                        self._running.stop(turn_id, attempt, why)
            case "deleted":
                for turn_id in values:
                    self._running.deleted(turn_id)

    def _reconnected(self) -> None:
        self._leases.hasten()
        self._running.wake()
        self._watching.refresh_all()

    def _deleted_all(self, turn_ids: Sequence[str]) -> None:
        for turn_id in turn_ids:
            self._running.deleted(turn_id)
            self._notices.tell("deleted", turn_id)
        self._running.wake()

    async def _next_events(self, live: LiveTurn, after: int) -> Sequence[TurnEvent]:
        """The next events behind `after` that exist, from the tail or else a page of the store."""
        if after >= live.tail_after:
            return live.since(after)
        if live.attempt is not None and not live.over:
            await self._flush.wait_for(live)
        return await self._pages.read(live.id, after)

    # --- inside ---

    def _hold_of(self, claim: Claim) -> Hold:
        if self._closed is not None:
            raise EngineUnavailable(str(self._closed))
        return self._running.hold_of(claim)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._closed is not None:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Told:
    """What the engine hears of accepted and stopped turns (`accepting.Told`)."""

    def __init__(self, running: Running, notices: Notices) -> None:
        self._running = running
        self._notices = notices

    def accepted(self, turn: Turn, delay: float) -> None:
        self._running.tell_work(turn.agent, delay)

    def ended(self, turn: Turn) -> None:
        self._running.ended(turn)

    def stop(self, process: int | None, turn_id: str, attempt: int, why: StopAsk) -> None:
        if process == self._running.process:
            self._running.stop(turn_id, attempt, why)
        else:
            self._notices.tell("stop", [process, turn_id, attempt, why])


async def _quietly(work: Awaitable[Any]) -> None:
    try:
        await work
    except EngineUnavailable:
        return
