"""Moving everything that one engine keeps into another: neutral records, and the copy that is compared at its end.

Each engine implements `Store` beside itself (`moving_sqlite`, `postgres.moving`). Nobody else may use either store
meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import groupby, islice
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Conversation,
    JsonObject,
    LedgerEntry,
    Outcome,
    Turn,
    TurnEvent,
)
from turnlane.runtime.engine import EngineError
from turnlane.runtime.engines.stored_json import STOPPED, ended_turn, result_text
from turnlane.runtime.lifecycle import after

T = TypeVar("T")

BATCH: Final = 500
"""Records that are held in memory and written at once."""

CHUNK: Final = 200
"""Events in one piece."""

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many records are done, of how many."""


class MoveRefused(EngineError):
    """The stores are not fit for a move. The message says why and what to do; nothing was changed."""


class MoveFailed(EngineError):
    """What the target holds is not what the source held. The target was left empty."""


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation with what is kept beside its turns."""

    conversation: Conversation
    items: Sequence[tuple[int, JsonObject]] = ()
    """Position and item, in order of position."""
    state: JsonObject | None = None
    absorbed: int = -1
    """The position up to which the state has seen the history."""


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn with everything that is kept of it."""

    turn: Turn
    fingerprint: str | None = None
    """Digest of the request that came with the turn's idempotency key."""
    joined: Sequence[tuple[str, str | None]] = ()
    """Idempotency key and fingerprint of each message that joined the turn and had one, ordered by key."""
    joins: int = 0
    """How many messages have joined a turn that waits."""
    events: Sequence[TurnEvent] = ()
    """Those of all attempts, in order."""
    events_from: int = 0
    """The first event number that is not superseded."""
    ledger: Sequence[LedgerEntry] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a store holds."""

    conversations: int
    turns: int

    @property
    def records(self) -> int:
        return self.conversations + self.turns


class Export(Protocol):
    """A store that is read whole, as of one moment."""

    async def counts(self) -> Counts: ...

    def conversations(self) -> AsyncIterator[ConversationRecord]:
        """In the order in which they were made."""
        ...

    def turns(self) -> AsyncIterator[TurnRecord]:
        """In the order in which they were accepted."""
        ...


class Restore(Export, Protocol):
    """An empty store that is filled. Reading shows what was added."""

    async def add_conversations(self, conversations: Sequence[ConversationRecord]) -> None: ...

    async def add_turns(self, turns: Sequence[TurnRecord]) -> None:
        """Behind those that were added before; their conversations are there."""
        ...


class Store(Protocol):
    """Where an engine keeps its turns, while no engine is open on it."""

    def exported(self) -> AbstractAsyncContextManager[Export]:
        """The store, which nobody else can use until the block ends; it is left as it was.

        Raises:
            MoveRefused, EngineUnavailable
        """
        ...

    def restored(self) -> AbstractAsyncContextManager[Restore]:
        """The same, to be filled: all of it is kept when the block ends well, and nothing otherwise.

        Raises:
            MoveRefused: it holds something already.
            EngineUnavailable
        """
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store holds: how much, and a digest of it all in order."""

    conversations: int
    items: int
    states: int
    turns: int
    events: int
    ledger_entries: int
    digest: str


class Tally:
    """Makes a `Summary` of records as they pass by."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._counted = dict.fromkeys((f.name for f in fields(Summary) if f.name != "digest"), 0)

    def conversation(self, stored: ConversationRecord) -> None:
        self._hash.update(canonical(stored))
        self._count(conversations=1, items=len(stored.items), states=stored.state is not None)

    def turn(self, stored: TurnRecord) -> None:
        self._hash.update(canonical(stored))
        self._count(turns=1, events=len(stored.events), ledger_entries=len(stored.ledger))

    def summary(self) -> Summary:
        return Summary(**self._counted, digest=self._hash.hexdigest())

    def _count(self, **more: int) -> None:
        for name, number in more.items():
            self._counted[name] += number


async def move(source: Store, target: Store, progress: Progress = lambda done, total: None) -> Summary:
    """Copy everything from `source` into the empty `target`, in one transaction there, and compare the two.

    A turn that was running has no owner in the target, so it becomes what a dead owner's turn becomes: it waits
    again, its attempts counted; one that was to stop has ended.

    Raises:
        MoveRefused, EngineUnavailable: a store can't be used; nothing was changed.
        MoveFailed: the target would not hold the same.
    """
    async with source.exported() as export, target.restored() as restore:
        total = 2 * (await export.counts()).records
        step = _Steps(total, progress)
        sent = await _copy(export, restore, step)
        found = await summary_of(restore, step)
        if sent != found:
            raise MoveFailed(
                f"the target would not hold what the source holds ({_difference(sent, found)}): it was left "
                "empty, and the source was not changed; please report this"
            )
    return sent


async def summary_of(export: Export, step: Callable[[], None] = lambda: None) -> Summary:
    """Read a whole store."""
    tally = Tally()
    async for conversation in export.conversations():
        tally.conversation(conversation)
        step()
    async for turn in export.turns():
        tally.turn(turn)
        step()
    return tally.summary()


def without_owner(stored: TurnRecord, now: float) -> TurnRecord:
    """A turn as it is when its owner has died: what was running waits again, or ends as it was asked to."""
    turn = stored.turn
    if turn.status != "running":
        return stored
    # The next attempt's first number: higher than any that a reader may have seen.
    seq = turn.attempt * EVENTS_PER_ATTEMPT
    if turn.stop_asked is None:
        return replace(stored, turn=turn.with_(status=after("running", "orphan")), events_from=seq)
    move, failure = STOPPED[turn.stop_asked]
    outcome = Outcome(status=after("running", move), failure=failure)
    finished = TurnEvent(seq=seq, kind="finished", at=now, data={"status": outcome.status})
    return replace(
        stored,
        turn=ended_turn(turn, outcome, now),
        events=[*stored.events, finished],
        events_from=seq,
        ledger=(),
    )


def result_of(turn: Turn) -> str | None:
    """The text that is kept of a turn's result; None: it has not ended."""
    if not turn.ended:
        return None
    return result_text(Outcome(turn.status, turn.output, turn.usage, turn.failure, turn.incomplete))


def chunks_of(events: Sequence[TurnEvent]) -> Iterator[list[TurnEvent]]:
    """Events as they are kept: in pieces that a reader can take one by one, each of one attempt."""
    for _, attempt in groupby(events, key=lambda event: event.attempt):
        yield from _pieces(attempt)


def _pieces(events: Iterator[TurnEvent]) -> Iterator[list[TurnEvent]]:
    while piece := list(islice(events, CHUNK)):
        yield piece


def split_keys(
    own: str | None, found: Iterable[tuple[str, str | None]]
) -> tuple[str | None, list[tuple[str, str | None]]]:
    """The fingerprint of a turn's own idempotency key, and the keys of messages that joined it."""
    keys = dict(found)
    fingerprint = keys.pop(own, None) if own is not None else None
    return fingerprint, sorted(keys.items())


def all_keys(record: TurnRecord) -> list[tuple[str, str | None]]:
    """The idempotency keys that name a turn, its own first."""
    own = record.turn.idempotency_key
    return [*([(own, record.fingerprint)] if own is not None else []), *record.joined]


def canonical(record: object) -> bytes:
    """The same bytes for the same record, whichever store it was read from."""
    return json.dumps(record, default=_plain, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _plain(value: Any) -> object:
    if isinstance(value, TurnEvent):  # nearly all there is
        return value.to_json()
    if is_dataclass(value):
        # Not `fields`, which takes as long as the rest.
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} is not JSON")


class _Steps:
    """Counts records; tells of every `BATCH`th and of the last."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done = 0
        self._total = total
        self._progress = progress

    def __call__(self) -> None:
        self._done += 1
        if self._done % BATCH == 0 or self._done == self._total:
            self._progress(self._done, self._total)


async def _copy(export: Export, restore: Restore, step: Callable[[], None]) -> Summary:
    tally, now = Tally(), time.time()
    async for conversations in _batches(export.conversations()):
        await restore.add_conversations(conversations)
        for conversation in conversations:
            tally.conversation(conversation)
            step()
    async for found in _batches(export.turns()):
        turns = [without_owner(turn, now) for turn in found]
        await restore.add_turns(turns)
        for turn in turns:
            tally.turn(turn)
            step()
    return tally.summary()


async def _batches(records: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    batch: list[T] = []
    async for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _difference(sent: Summary, found: Summary) -> str:
    """What differs first: a count, or else the content."""
    for field in fields(Summary):
        one, other = getattr(sent, field.name), getattr(found, field.name)
        if one != other and field.name != "digest":
            return f"{other} instead of {one} {field.name.replace('_', ' ')}"
    return "the counts are the same, the content is not"
