"""The embedded engine: SQLite in this process. No server, no other dependency, durable before the answer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
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
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import (
    Accepted,
    Engine,
    EngineError,
    EngineStats,
    EngineUnavailable,
    OwnershipLost,
    Worker,
)
from turnlane.runtime.engines import sqlite_ledger
from turnlane.runtime.engines import sqlite_rows as rows
from turnlane.runtime.engines.alarm import Alarm
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
from turnlane.runtime.engines.event_flush import EventFlush
from turnlane.runtime.engines.folder_lock import FolderLock
from turnlane.runtime.engines.lanes import Seat
from turnlane.runtime.engines.live import LiveTurn, events_of
from turnlane.runtime.engines.sqlite_acceptance import Acceptance
from turnlane.runtime.engines.sqlite_conversations import Conversations
from turnlane.runtime.engines.sqlite_endings import Endings
from turnlane.runtime.engines.sqlite_moves import Moves
from turnlane.runtime.engines.sqlite_ownership import Ownership
from turnlane.runtime.engines.sqlite_reader import Reader
from turnlane.runtime.engines.sqlite_schema import open_for_writing
from turnlane.runtime.engines.sqlite_thread import Answer, Work
from turnlane.runtime.engines.sqlite_watch import StoreWatch, write_something
from turnlane.runtime.engines.sqlite_writer import Writer
from turnlane.runtime.engines.stored_json import ledger_text, told_as_json
from turnlane.runtime.engines.unowned import tell_ended
from turnlane.runtime.lifecycle import ENDED
from turnlane.runtime.limits import Bounds

T = TypeVar("T")

DATABASE: Final = "turnlane.db"


class EmbeddedEngine(Engine):
    """Turns in `folder/turnlane.db`, for one process at a time.

    Changes go through one writer thread with group commit; reads through a reader thread. What has not
    ended is also in memory (`LiveTurn`), so that waiting and live events ask no database; what has ended
    costs no memory.

    Args:
        folder: the data folder; it is made when it does not exist.
        bounds: how much may wait.
        clock: seconds since the epoch. Called from the writer's thread.
    """

    def __init__(
        self, folder: Path, *, bounds: Bounds | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self.bounds = bounds or Bounds()
        self._lock: FolderLock | None = None
        self._ownership = Ownership(clock)
        self._conversations = Conversations(self._ownership, clock)
        endings = Endings(self._ownership, clock)
        self._moves = Moves(self._ownership, endings, self.bounds, clock)
        self._acceptance = Acceptance(self._ownership, self._conversations, endings, self.bounds, clock)
        self._writer = Writer(self.path, self._open_store, self._ownership, self._apply_all, self._died)
        self._reader = Reader("turnlane-reader", self.path)
        self._watch = StoreWatch(self._probe)
        self._live: dict[str, LiveTurn] = {}
        self._flush = EventFlush(self._submit_flush)
        self._alarm = Alarm(clock, self._start_due)
        self._workers: dict[Seat, Worker] = {}
        self._unfinished: list[str] = []

    def __repr__(self) -> str:
        stats = self._ownership.picture
        return f"<EmbeddedEngine {str(self.path)!r}: {stats.running} running, {stats.queued} queued>"

    @property
    def trouble(self) -> str | None:
        return self._watch.trouble

    # --- opening and closing ---

    async def open(self) -> None:
        try:
            await self._writer.start()
            await self._reader.start()
        except BaseException:
            await self._writer.stop(drop=True)
            self._release_lock()
            raise
        self._live = {turn: LiveTurn(turn) for turn in self._unfinished}
        self._unfinished.clear()
        self._alarm.set(self._ownership.next_due)

    async def close(self) -> None:
        if self._writer.is_open:
            self._writer.submit(self._moves.detach_all)
            await self._flush.close()
        await self._stop(drop=False)

    async def crash(self) -> None:
        """Let go of everything as a kill -9 would, for tests: nothing is written that was not yet."""
        self._flush.drop()
        await self._stop(drop=True)

    async def _stop(self, *, drop: bool) -> None:
        self._alarm.close()
        self._watch.close()
        await self._writer.stop(drop=drop)
        await self._reader.stop(drop=drop)
        self._release_lock()
        self._fail_live(EngineUnavailable(f"{self.path} is closed"))
        self._workers.clear()

    def _open_store(self) -> sqlite3.Connection:
        """In the writer's thread: own the folder, move the schema, put orphans back."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EngineUnavailable(
                f"the data folder {self.folder} can't be made ({error.strerror}): choose another with --data"
            ) from error
        lock = FolderLock(self.folder)
        lock.acquire()
        self._lock = lock
        connection = open_for_writing(self.path)
        try:
            self._unfinished = self._moves.recover(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _release_lock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    # --- workers ---

    async def attach(self, worker: Worker) -> None:
        seat = self._seat_of(worker) or Seat(0, {})
        self._workers[seat] = worker
        size = worker.capacity, dict(worker.agent_limits)
        try:
            await self._writer.submit(partial(self._moves.attach, seat, *size))
        except EngineError:
            self._workers.pop(seat, None)
            raise

    async def detach(self, worker: Worker) -> None:
        # The seat stays known: its running turns may have to be stopped.
        if (seat := self._seat_of(worker)) is not None:
            await self._writer.submit(partial(self._moves.detach, seat))

    async def publish(self, claim: Claim, events: Sequence[TurnEvent]) -> None:
        live = self._owned(claim)
        live.show(events)
        self._flush.add(live, claim)
        if self._flush.is_behind(live):
            await self._flush.wait_for(live)

    async def record(self, claim: Claim, entries: Sequence[LedgerEntry]) -> None:
        self._owned(claim)
        # Now, not in the writer's thread: what the entries hold may be changed by whoever got it.
        with told_as_json("the ledger"):
            text = ledger_text(entries)
        await self._writer.submit(partial(self._moves.record, claim, text))

    async def ledger(self, turn_id: str) -> list[LedgerEntry]:
        return await self._read(partial(_reading(sqlite_ledger.read_of), turn_id))

    async def commit(self, claim: Claim, outcome: Outcome) -> Turn:
        if outcome.status not in ENDED:
            raise ValueError(f"a turn can't be committed as {outcome.status}: that is no end")
        live = self._owned(claim)
        live.committing = True
        try:
            await self._flush.settled(live)
            unwritten = tuple(live.unwritten)
            return await self._writer.submit(partial(self._moves.commit, claim, outcome, unwritten))
        finally:
            live.committing = False

    async def release(self, claim: Claim) -> None:
        live = self._owned(claim)
        live.committing = True
        try:
            await self._flush.settled(live)
            await self._writer.submit(partial(self._moves.release, claim, tuple(live.unwritten)))
        finally:
            live.committing = False

    # --- accepting and reading turns ---

    async def accept(self, new: NewTurn) -> Accepted:
        return await self._writer.submit(partial(self._acceptance.accept, new))

    async def cancel(self, turn_id: str) -> Turn | None:
        return await self._writer.submit(partial(self._moves.cancel, turn_id))

    async def turn(self, turn_id: str) -> Turn | None:
        return await self._read(partial(_reading(rows.read_turn), turn_id))

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
        return await self._read(partial(_reading(rows.read_turns), asked, limit))

    async def wait(self, turn_id: str, timeout: float | None = None) -> Turn | None:
        live = await self._find_live(turn_id)
        if live is None:
            return await self.turn(turn_id)
        try:
            async with asyncio.timeout(timeout):
                await live.end()
        except TimeoutError:
            return await self.turn(turn_id)
        return live.ended

    async def events(self, turn_id: str, *, after: int = -1, follow: bool = True) -> AsyncIterator[TurnEvent]:
        live = await self._find_live(turn_id)
        if live is None:
            while page := await self._read(partial(_reading(rows.read_events), turn_id, after)):
                for event in page:
                    yield event
                after = page[-1].seq
            return
        async with aclosing(events_of(live, after, self._next_events, follow=follow)) as events:
            async for event in events:
                yield event

    async def superseded_events(self, turn_id: str) -> list[TurnEvent]:
        return await self._read(partial(_reading(rows.read_superseded_events), turn_id))

    async def lanes(self, *, key: str | None = None, limit: int = 100) -> list[Lane]:
        return await self._writer.submit(partial(self._moves.lanes, key, limit))

    async def stats(self) -> EngineStats:
        return self._ownership.picture

    # --- conversations ---

    async def create_conversation(self, conversation: Conversation, items: Sequence[JsonObject] = ()) -> None:
        await self._writer.submit(partial(self._conversations.create, conversation, items))

    async def conversation(self, conversation_id: str) -> Conversation | None:
        return await self._read(partial(_reading(rows.read_conversation), conversation_id))

    async def update_conversation(self, conversation_id: str, metadata: Mapping[str, str]) -> Conversation | None:
        return await self._writer.submit(partial(self._conversations.update, conversation_id, metadata))

    async def delete_conversation(self, conversation_id: str) -> bool:
        return await self._writer.submit(partial(self._conversations.delete, conversation_id))

    async def add_items(self, conversation_id: str, items: Sequence[JsonObject]) -> None:
        await self._writer.submit(partial(self._conversations.add_items, conversation_id, items))

    async def delete_item(self, conversation_id: str, item_id: str) -> bool:
        return await self._writer.submit(partial(self._conversations.delete_item, conversation_id, item_id))

    async def entries(
        self, conversation_id: str, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> list[Entry]:
        return await self._read(partial(_reading(rows.read_entries), conversation_id, after, limit, newest_first))

    async def state(self, conversation_id: str) -> JsonObject | None:
        return await self._read(partial(_reading(rows.read_state), conversation_id))

    # --- inside ---

    async def _read(self, work: Work[T]) -> T:
        try:
            return await self._reader.submit(work)
        except EngineUnavailable as error:
            if self._writer.is_open:
                self._watch.failed(error)
            raise

    def _seat_of(self, worker: Worker) -> Seat | None:
        return next((seat for seat, known in self._workers.items() if known is worker), None)

    def _owned(self, claim: Claim) -> LiveTurn:
        live = self._live.get(claim.turn.id)
        if live is None or live.attempt != claim.attempt:
            raise OwnershipLost(
                f"attempt {claim.attempt} no longer owns turn {claim.turn.id}: drop everything it made"
            )
        return live

    async def _find_live(self, turn_id: str) -> LiveTurn | None:
        """The turn, if it has not ended."""
        live = self._live.get(turn_id)
        if live is None and not self._writer.is_idle:
            # It may be on its way: whoever chose the id may ask before `accept` has returned.
            await self._writer.submit(_nothing)
            live = self._live.get(turn_id)
        return live

    async def _next_events(self, live: LiveTurn, after: int) -> Sequence[TurnEvent]:
        """The next events behind `after` that exist, from the tail or else a page of the store."""
        if after >= live.tail_after:
            return live.since(after)
        if not live.over:
            await self._flush.wait_for(live)
        return await self._read(partial(_reading(rows.read_events), live.id, after))

    def _submit_flush(self, unwritten: Sequence[Any]) -> asyncio.Future[None]:
        return self._writer.submit(partial(self._moves.flush, unwritten))

    def _apply_all(self, answers: list[Answer]) -> None:
        """On the loop, after a commit: tell workers, readers and callers, in the order of the calls."""
        self._watch.answered(answers)
        for answer in answers:
            for effect in answer.effects:
                self._apply(effect)
            answer.give()
        self._alarm.set(self._ownership.next_due)

    def _start_due(self) -> asyncio.Future[None]:
        return self._writer.submit(self._moves.start_due)

    def _apply(self, effect: Effect) -> None:
        match effect:
            case Queued(turn_id):
                self._live[turn_id] = LiveTurn(turn_id)
            case Claimed(seat, claim):
                self._begin(seat, claim)
            case Ended(turn, events, unowned):
                if unowned:
                    tell_ended(turn)
                if (live := self._live.pop(turn.id, None)) is not None:
                    live.finish(turn, events)
            case Requeued(turn_id):
                self._live[turn_id].requeue()
            case Deleted(turn_id):
                if (live := self._live.pop(turn_id, None)) is not None:
                    live.delete()
            case StopAsked(seat, turn_id, attempt, why):
                self._call(self._workers[seat].stop, turn_id, attempt, why)
            case OwnerLost(seat, turn_id, attempt):
                self._call(self._workers[seat].lost, turn_id, attempt)

    def _begin(self, seat: Seat, claim: Claim) -> None:
        live = self._live.get(claim.turn.id)
        if live is None:
            live = self._live[claim.turn.id] = LiveTurn(claim.turn.id)
        live.begin(claim)
        if not self._call(self._workers[seat].deliver, claim) and self._writer.is_open:
            # A worker that can't take a turn gets no more; another, or the next attach, takes this one.
            self._writer.submit(partial(self._moves.detach, seat))
            self._writer.submit(partial(self._moves.release, claim, ()))

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

    def _probe(self) -> None:
        if self._writer.is_open:
            self._writer.submit(partial(write_something, self.path)).add_done_callback(_looked_at)

    def _died(self, reason: EngineUnavailable) -> None:
        self._watch.failed(reason)
        self._fail_live(reason)

    def _fail_live(self, reason: EngineUnavailable) -> None:
        self._alarm.close()
        live_turns, self._live = self._live, {}
        for live in live_turns.values():
            live.fail(reason)


def _reading(read: Callable[..., T]) -> Callable[..., T]:
    """`read(connection, ...)` with the connection last, as a thread hands it over."""
    return lambda *arguments: read(arguments[-1], *arguments[:-1])


def _looked_at(future: asyncio.Future[None]) -> None:
    """The answer of a probe is for the watch, which has it already; asyncio complains of what nobody looks at."""
    if not future.cancelled():
        future.exception()


def _nothing(connection: sqlite3.Connection) -> None:
    """What comes back when everything submitted before is done."""
