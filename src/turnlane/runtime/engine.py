"""The engine: where turns are accepted, ordered, owned and kept.

Eight promises hold for every engine; `turnlane.testing.engine_promises` states them as tests to inherit:

1. Accepted means durable: after `accept` returns, a kill -9 of any process loses nothing.
2. At most one owner per conversation; turns of a conversation run in the order accepted; conversations
   never wait for each other.
3. A turn whose owner dies is run again by another without help; the dead owner's late result is refused.
4. Result, events and the conversation's new state are committed together, or not at all.
5. The same idempotency key gives the same turn.
6. Cancel and deadline end a turn in bounded time.
7. Lanes and the whole queue are bounded: past the bound a clear refusal with a time to wait.
8. Events have a rising number; a reader that comes back with the last number it saw misses nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from turnlane.runtime.limits import Bounds
from turnlane.runtime.shared_limits import SharedLimits


class EngineError(Exception):
    """Something an engine refuses or cannot do. The message says what happened and what to do next."""


class EngineUnavailable(EngineError):
    """The store can't be opened or written: another process, a full disk, a read-only folder, a newer schema."""


class OwnershipLost(EngineError):
    """A commit or event of an attempt that no longer owns its turn: drop everything (fencing)."""


class NotJson(EngineError):
    """Something to be stored is not JSON. Nothing was stored."""

    def __init__(self, what: str, reason: Exception) -> None:
        super().__init__(f"{what} can't be stored, it is not JSON: {reason}")


class Refused(EngineError):
    """A turn that was not accepted. Nothing was stored."""


class LaneFull(Refused):
    """The conversation's queue is at its bound. `retry_after` is in seconds."""

    def __init__(self, conversation: str, bound: int, retry_after: float) -> None:
        super().__init__(
            f"conversation {conversation} already has {bound} turns waiting, which is its bound; "
            f"try again in {retry_after:.0f} s"
        )
        self.retry_after = retry_after


class TurnFull(LaneFull):
    """As many messages as may wait in a conversation have joined one turn (`merge`, `debounce`)."""

    def __init__(self, turn: str, bound: int, retry_after: float) -> None:
        Refused.__init__(
            self,
            f"{bound} messages have joined turn {turn}, which is the bound of its conversation's queue; "
            f"try again in {retry_after:.0f} s",
        )
        self.retry_after = retry_after


class QueueFull(Refused):
    """The whole queue is at its bound. `retry_after` is in seconds."""

    def __init__(self, bound: int, retry_after: float) -> None:
        super().__init__(f"the queue holds {bound} turns, which is its bound; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class ConversationBusy(Refused):
    """The conversation has a turn that has not ended, and the new one asked not to wait (`when_busy="reject"`)."""

    def __init__(self, conversation: str, turn: str) -> None:
        super().__init__(f"conversation {conversation} is busy with turn {turn}; wait for it or cancel it")
        self.turn = turn


class NotLatest(Refused):
    """The turn that the new one wanted to follow is not the conversation's latest."""

    def __init__(self, wanted: str, latest: str | None) -> None:
        is_latest = f" ({latest} is)" if latest else ""
        super().__init__(
            f"{wanted} is not the latest response of its conversation{is_latest}, and a conversation can't be "
            "branched: agents keep one state per conversation. Go on from the latest response, or start a new "
            "conversation."
        )


class ConversationNotFound(Refused):
    """No such conversation for this key (also when it belongs to another key)."""

    def __init__(self, conversation: str) -> None:
        super().__init__(f"no conversation {conversation!r}")


class WrongAgent(Refused):
    """The conversation's saved state belongs to another agent."""

    def __init__(self, conversation: str, owner: str, asked: str) -> None:
        super().__init__(
            f"conversation {conversation} belongs to agent {owner!r}, not {asked!r}: "
            f"use model={owner!r}, or start a new conversation for {asked!r}"
        )


class IdempotencyMismatch(Refused):
    """The idempotency key was used before with another request."""

    def __init__(self, turn: str) -> None:
        super().__init__(f"this Idempotency-Key was used before with another body (turn {turn}); use a new key")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The turn that a request got. `created` is False when an idempotency key named a turn that exists, or when
    the message joined a turn that still waits (`merge`, `debounce`): then `joined` is True."""

    turn: Turn
    created: bool
    joined: bool = False


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A picture of the queue, cheap enough for every scrape of /metrics."""

    queued: int
    running: int
    conversations_active: int
    oldest_queued_at: float | None
    """Seconds since the epoch, of the oldest turn that waits; None when none waits."""


class Worker(Protocol):
    """Who runs turns. An engine hands it claims while it has room, and tells it when to stop one."""

    @property
    def capacity(self) -> int:
        """How many turns may run at once in this worker."""
        ...

    @property
    def agent_limits(self) -> Mapping[str, int | None]:
        """The agents this worker can run, each with its own bound of turns at once (None: only `capacity`)."""
        ...

    def deliver(self, claim: Claim) -> None:
        """Take over a turn. Called on the event loop; must return at once.

        The slot is free again when the engine has seen `commit` or `release` for the claim."""
        ...

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        """A user cancelled the turn, or a later message takes its place: end it in bounded time and commit it as
        `cancelled`, or for "interrupt" as `interrupted` with what was said until now."""
        ...

    def lost(self, turn_id: str, attempt: int) -> None:
        """The attempt no longer owns its turn: stop at once and commit nothing."""
        ...


class Engine(ABC):
    """The one interface of every engine. All methods run on the event loop and never block it.

    Every method may raise `EngineUnavailable` when the store is gone; nothing is half done then.
    """

    bounds: Bounds

    @property
    def trouble(self) -> str | None:
        """One sentence while the store can't be used, for /readyz; None while all is well. The engine itself, and
        nobody else, tells the log when that begins and when it ends (`turnlane.telemetry.outage.Outage`)."""
        return None

    @property
    def shared_limits(self) -> SharedLimits | None:
        """Where workers of all processes share the limits of model providers; None: only one process serves."""
        return None

    @abstractmethod
    async def open(self) -> None:
        """Open or create the store, move its schema, and put turns of dead owners back in the queue.

        Raises:
            EngineUnavailable: with one sentence that says why and what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop handing out claims, make everything durable, let go of the store. May be called twice."""

    # --- workers ---

    @abstractmethod
    async def attach(self, worker: Worker) -> None:
        """Begin to hand claims to `worker`."""

    @abstractmethod
    async def detach(self, worker: Worker) -> None:
        """Hand out no more claims to `worker`; running ones go on. May be called twice."""

    @abstractmethod
    async def publish(self, claim: Claim, events: Sequence[TurnEvent]) -> None:
        """Show events to readers now; they become durable soon after, or with the commit at the latest.

        Raises:
            OwnershipLost: the attempt no longer owns the turn.
        """

    @abstractmethod
    async def record(self, claim: Claim, entries: Sequence[LedgerEntry]) -> None:
        """Keep entries for further attempts of the turn; durable on return. They are forgotten when the turn ends,
        but for one that `needs_attention`. Calls of one claim are kept in the order in which they were made.

        Raises:
            OwnershipLost: the attempt no longer owns the turn; nothing was kept.
        """

    @abstractmethod
    async def ledger(self, turn_id: str) -> list[LedgerEntry]:
        """What is kept for further attempts of a turn, in order; for operators and tests."""

    @abstractmethod
    async def commit(self, claim: Claim, outcome: Outcome) -> Turn:
        """End the turn: status, output, events and state in one transaction; durable on return.

        Raises:
            OwnershipLost: nothing was written.
        """

    @abstractmethod
    async def release(self, claim: Claim) -> None:
        """Give a running turn back to the queue, at the head of its lane (drain). Its events are superseded."""

    # --- accepting and reading ---

    @abstractmethod
    async def accept(self, new: NewTurn) -> Accepted:
        """Store a turn at the end of its lane, or as its `when_busy` says; durable on return.

        With "interrupt" and "rollback" all turns of the lane that still wait end at once, as `interrupted` or
        `cancelled`, and a running one is asked to stop. A message that joins (`Accepted.joined`) adds its input to
        the turn that waits, which moves behind what was added to the conversation since; its idempotency key names
        that turn from then on.

        Raises:
            LaneFull (TurnFull: too many joined), QueueFull, ConversationBusy, ConversationNotFound, WrongAgent,
            NotLatest, IdempotencyMismatch, NotJson.
        """

    @abstractmethod
    async def cancel(self, turn_id: str) -> Turn | None:
        """Ask for a turn to end. A queued one is cancelled on return; for a running one the worker is told.

        A turn that has ended is returned as it is. None: no such turn."""

    @abstractmethod
    async def turn(self, turn_id: str) -> Turn | None:
        """The turn as it is now."""

    @abstractmethod
    async def turns(
        self,
        *,
        key: str | None = None,
        conversation: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Turn]:
        """Turns, newest first; `key` None means all keys; `before` is the id of the last turn seen."""

    @abstractmethod
    async def wait(self, turn_id: str, timeout: float | None = None) -> Turn | None:
        """Wait until the turn has ended (or `timeout` seconds are over) and return it as it is then."""

    @abstractmethod
    def events(self, turn_id: str, *, after: int = -1, follow: bool = True) -> AsyncIterator[TurnEvent]:
        """The events of the turn's current attempt with `seq` > `after`, in order.

        With `follow` it waits for more until the turn has ended. When the turn is run again meanwhile,
        the events of the new attempt follow (their numbers are higher), never more of the old one.
        A slow reader costs no memory: it is fed from the store."""

    @abstractmethod
    async def superseded_events(self, turn_id: str) -> list[TurnEvent]:
        """What is kept of the events of earlier attempts, for an operator to look at."""

    @abstractmethod
    async def lanes(self, *, key: str | None = None, limit: int = 100) -> list[Lane]:
        """Conversations with turns that have not ended, the longest-waiting first."""

    @abstractmethod
    async def stats(self) -> EngineStats:
        """Counts for /metrics and /readyz."""

    # --- conversations ---

    @abstractmethod
    async def create_conversation(self, conversation: Conversation, items: Sequence[JsonObject] = ()) -> None:
        """Store a new conversation with its first items."""

    @abstractmethod
    async def conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, or None."""

    @abstractmethod
    async def update_conversation(self, conversation_id: str, metadata: Mapping[str, str]) -> Conversation | None:
        """Replace the metadata."""

    @abstractmethod
    async def delete_conversation(self, conversation_id: str) -> bool:
        """Delete it with its turns, items, events and state; a running turn is stopped and can't commit."""

    @abstractmethod
    async def add_items(self, conversation_id: str, items: Sequence[JsonObject]) -> None:
        """Append items; the agent sees them before the input of its next turn.

        Raises:
            ConversationNotFound
        """

    @abstractmethod
    async def delete_item(self, conversation_id: str, item_id: str) -> bool:
        """Delete an added item that no turn has used yet. False: there is none such."""

    @abstractmethod
    async def entries(
        self, conversation_id: str, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> list[Entry]:
        """Items and turns in order of position (or the reverse), from behind position `after`."""

    @abstractmethod
    async def state(self, conversation_id: str) -> JsonObject | None:
        """The saved state as JSON (kind, version, data), for operators and tests."""
