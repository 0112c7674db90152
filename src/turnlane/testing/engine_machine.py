"""An engine driven through random histories beside a model that is too simple to be wrong.

The model knows what was accepted, in which order, and what must therefore be true; after every step the
engine has to agree. hypothesis finds the histories, and makes one that breaks a promise as short as it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    LedgerEntry,
    NewTurn,
    Outcome,
    SavedState,
    Status,
    StopAsk,
    TurnEvent,
    WhenBusy,
    new_id,
)
from turnlane.runtime.engine import ConversationBusy, Engine, LaneFull, OwnershipLost, QueueFull
from turnlane.runtime.limits import Bounds
from turnlane.testing.scripted_worker import BOOM, PATIENCE, ScriptedWorker, first_turn, message, new_turn

T = TypeVar("T")

BOUNDS: Final = Bounds(lane=3, total=8, attempts=3)
CAPACITY: Final = 4


STRATEGIES: Final[list[WhenBusy]] = ["enqueue", "enqueue", "reject", "interrupt", "rollback", "merge", "debounce"]
"""`debounce` without a delay: time is no part of the model."""

ENDS: Final[list[Status]] = [
    "completed",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "interrupted",
    "needs_attention",
]

STOPPED: Final[Mapping[StopAsk, Status]] = {
    "cancel": "cancelled",
    "interrupt": "interrupted",
    "rollback": "cancelled",
}


def _after_stop(status: Status, stop: StopAsk | None) -> Status:
    """How a turn ends that its worker ends with `status`."""
    forgotten = ["interrupted"] if stop == "cancel" else ["completed", "incomplete", "interrupted"]
    return "cancelled" if stop in ("cancel", "rollback") and status in forgotten else status


@dataclass
class _Turn:
    """What must be true of a turn."""

    new: NewTurn
    position: int
    status: Status = "queued"
    attempt: int = 0
    stop: StopAsk | None = None
    joined: int = 0
    texts: list[str] = field(default_factory=list)
    """The ids of its input."""
    said: list[str] = field(default_factory=list)
    """The ids of what it had answered when it was interrupted."""
    ledger: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    """The numbers of the current attempt's events."""
    floor: int = 0
    seen: int = -1
    """What a reader, who comes back now and then, has seen."""

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")


@dataclass
class _Talk:
    """What must be true of a conversation. `state` is the fold of its committed turns and their items."""

    id: str
    turns: list[_Turn] = field(default_factory=list)
    items: list[tuple[int, str]] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    absorbed: int = -1
    length: int = 0

    def unfinished(self) -> list[_Turn]:
        return [turn for turn in self.turns if not turn.ended]

    def waiting(self) -> list[_Turn]:
        return [turn for turn in self.turns if turn.status == "queued"]

    def running(self) -> _Turn | None:
        return next((turn for turn in self.turns if turn.status == "running"), None)

    def unseen(self, before: int) -> list[str]:
        left = [(turn.position, turn.texts + turn.said) for turn in self.turns if turn.status == "interrupted"]
        added = [(position, [item]) for position, item in self.items]
        return [item for at, items in sorted(left + added) if self.absorbed < at < before for item in items]


class EngineMachine(RuleBasedStateMachine):
    """The rules: what clients, workers and fate may do."""

    def __init__(
        self,
        open_engine: Callable[[Path, Bounds], Awaitable[Engine]],
        crash: Callable[[Engine], Coroutine[Any, Any, None]],
        folder: Path,
    ) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._open_engine = open_engine
        self._crash_engine = crash
        # A folder for each history: hypothesis runs many.
        self._folder = folder / new_id("history")
        self.talks: list[_Talk] = []
        self.claims: dict[str, Claim] = {}
        """What runs, by turn."""
        self.stale: list[Claim] = []
        self.keys: list[tuple[NewTurn, _Turn]] = []
        """What was accepted with an idempotency key, and the turn that it became or joined."""
        self._do(self._open())

    def teardown(self) -> None:
        self._do(self.engine.close())
        self._runner.close()

    def _do(self, action: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(action)

    async def _open(self) -> None:
        self.engine = await self._open_engine(self._folder, BOUNDS)
        self.worker = ScriptedWorker(capacity=CAPACITY)
        await self.engine.attach(self.worker)

    # --- clients ---

    @rule(repeatable=st.booleans())
    def start_a_conversation(self, repeatable: bool) -> None:
        new = first_turn(items=[message("first")], **self._key(repeatable))
        self._accept(_Talk(new.conversation), new)

    @precondition(lambda self: self.talks)
    @rule(data=st.data(), repeatable=st.booleans(), when_busy=st.sampled_from(STRATEGIES))
    def say_more(self, data: st.DataObject, repeatable: bool, when_busy: WhenBusy) -> None:
        talk = data.draw(st.sampled_from(self.talks))
        self._accept(talk, new_turn(talk.id, when_busy=when_busy, **self._key(repeatable)))

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def repeat_a_request(self, data: st.DataObject) -> None:
        new, turn = data.draw(st.sampled_from(self.keys))
        accepted = self._do(self.engine.accept(replace(new, id=new_id("resp"))))
        assert (accepted.created, accepted.joined, accepted.turn.id) == (False, False, turn.new.id)

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def add_an_item(self, data: st.DataObject) -> None:
        talk = data.draw(st.sampled_from(self.talks))
        item = message("by the way")
        self._do(self.engine.add_items(talk.id, [item]))
        talk.items.append((talk.length, item["id"]))
        talk.length += 1

    @precondition(lambda self: any(talk.turns for talk in self.talks))
    @rule(data=st.data())
    def cancel_a_turn(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from([turn for talk in self.talks for turn in talk.turns]))
        answer = self._do(self.engine.cancel(turn.new.id))
        if turn.status == "queued":
            self._end_unowned(turn, "cancelled")
        elif turn.status == "running":
            self._stop(turn, "cancel")
        assert answer is not None
        assert (answer.status, answer.stop_asked) == (turn.status, turn.stop)

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def delete_a_conversation(self, data: st.DataObject) -> None:
        talk = data.draw(st.sampled_from(self.talks))
        assert self._do(self.engine.delete_conversation(talk.id))
        self.talks.remove(talk)
        self.keys = [(new, turn) for new, turn in self.keys if new.conversation != talk.id]
        for turn in talk.turns:
            if (claim := self.claims.pop(turn.new.id, None)) is not None:
                self.stale.append(claim)

    @precondition(lambda self: any(talk.turns for talk in self.talks))
    @rule(data=st.data())
    def come_back_and_read(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from([turn for talk in self.talks for turn in talk.turns]))
        got = self._do(self._events(turn.new.id, turn.seen))
        assert got == [seq for seq in turn.seqs if seq > turn.seen]
        turn.seen = max([turn.seen, *got])

    # --- workers ---

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), count=st.integers(1, 300))
    def publish(self, data: st.DataObject, count: int) -> None:
        claim, turn = self._draw_running(data)
        first = max([*turn.seqs, claim.first_seq - 1]) + 1
        numbers = range(first, first + count)
        self._do(self.engine.publish(claim, [TurnEvent(seq, "note", 0.0, {}) for seq in numbers]))
        turn.seqs.extend(numbers)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        claim, turn = self._draw_running(data)
        asked = f"question {len(turn.ledger)}"
        self._do(self.engine.record(claim, [LedgerEntry("model", "ended", asked, "call", "gpt")]))
        turn.ledger.append(asked)
        assert [entry.asked for entry in self._do(self.engine.ledger(turn.new.id))] == turn.ledger

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def commit(self, data: st.DataObject, status: Status) -> None:
        claim, turn = self._draw_running(data)
        if status == "interrupted" and turn.stop is None:
            status = "completed"
        talk = self._talk_of(claim)
        seq = max([*turn.seqs, claim.first_seq - 1]) + 1
        finished = TurnEvent(seq, "finished", 0.0, {"status": status})
        state = [*talk.state, *talk.unseen(turn.position), turn.new.id]
        end = Outcome(
            status,
            output=[{"type": "message", "item": f"answer to {turn.new.id}", "text": "well"}],
            failure=None if status in ("completed", "incomplete", "interrupted") else BOOM,
            state=SavedState("test", "1", state),
            events=[finished],
        )
        ended = self._do(self.engine.commit(claim, end))
        turn.status = _after_stop(status, turn.stop)
        assert (ended.status, ended.attempt, ended.stop_asked) == (turn.status, turn.attempt, turn.stop)
        turn.seqs.append(seq)
        turn.said = [f"answer to {turn.new.id}"] if turn.status == "interrupted" else []
        if turn.status in ("completed", "incomplete"):
            talk.state, talk.absorbed = state, turn.position
        self._forget_ledger(turn)
        self.stale.append(self.claims.pop(turn.new.id))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim, turn = self._draw_running(data)
        self._do(self.engine.release(claim))
        self.stale.append(self.claims.pop(turn.new.id))
        if turn.stop is not None:
            self._end_unowned(turn, STOPPED[turn.stop])
        else:
            self._requeue(turn)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def a_late_result_is_refused(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        try:
            self._do(self.engine.commit(claim, Outcome("completed", state=SavedState("test", "1", ["late"]))))
        except OwnershipLost:
            return
        raise AssertionError(f"the late result of attempt {claim.attempt} was taken")

    # --- fate ---

    @rule()
    def the_process_dies_and_another_opens_the_store(self) -> None:
        self._do(self._crash_engine(self.engine))
        for turn in [turn for talk in self.talks for turn in talk.turns if turn.status == "running"]:
            self.stale.append(self.claims.pop(turn.new.id))
            if turn.stop is not None:
                self._end_unowned(turn, STOPPED[turn.stop])
            elif turn.attempt >= BOUNDS.attempts:
                self._end_unowned(turn, "failed")
            else:
                self._requeue(turn)
        self._do(self._open())

    # --- what must be true after every step ---

    @invariant()
    def the_promises_hold(self) -> None:
        # In this order: what the engine handed over becomes known by the first.
        self._the_right_turns_run()
        self._the_engine_agrees()
        self._the_counts_are_right()

    def _the_right_turns_run(self) -> None:
        """As many as there are places or lanes; each the first of its lane, with the state of those before."""
        ready = [talk for talk in self.talks if talk.unfinished()]
        while len(self.claims) < min(CAPACITY, len(ready)):
            self._take_over(self._do(self.worker.claim()))
        assert self.worker.claims.empty()
        assert self.worker.stopped.empty()

    def _the_engine_agrees(self) -> None:
        for talk in self.talks:
            entries = self._do(self.engine.entries(talk.id, limit=1_000))
            found = [entry.turn for entry in entries if entry.turn is not None]
            assert [(turn.id, turn.status, turn.attempt, turn.position) for turn in found] == [
                (turn.new.id, turn.status, turn.attempt, turn.position) for turn in talk.turns
            ]
            added = [(entry.position, entry.item["id"]) for entry in entries if entry.item is not None]
            assert added == talk.items
            state = self._do(self.engine.state(talk.id))
            assert (state["data"] if state else []) == talk.state

    def _the_counts_are_right(self) -> None:
        stats = self._do(self.engine.stats())
        running = sum(turn.status == "running" for talk in self.talks for turn in talk.turns)
        assert (stats.running, stats.queued) == (running, self._queued())
        assert stats.conversations_active == sum(bool(talk.unfinished()) for talk in self.talks)

    # --- inside ---

    def _key(self, repeatable: bool) -> dict[str, Any]:
        return {"idempotency_key": new_id("key"), "fingerprint": "f"} if repeatable else {}

    def _queued(self) -> int:
        return sum(turn.status == "queued" for talk in self.talks for turn in talk.turns)

    def _accept(self, talk: _Talk, new: NewTurn) -> None:
        waiting = talk.waiting()
        if new.when_busy in ("merge", "debounce") and waiting and waiting[-1].attempt == 0:
            self._join(talk, waiting[-1], new)
            return
        leaves = waiting if new.when_busy in ("interrupt", "rollback") else []
        starts = talk.running() is None and waiting == leaves and len(self.claims) < CAPACITY
        full = len(waiting) - len(leaves) >= BOUNDS.lane or self._queued() - len(leaves) >= BOUNDS.total
        refused = not starts and (full or (new.when_busy == "reject" and bool(talk.unfinished())))
        if self._is_refused(new, refused):
            return
        for turn in leaves:
            self._end_unowned(turn, STOPPED[cast("StopAsk", new.when_busy)])
        if new.when_busy in ("interrupt", "rollback") and (running := talk.running()) is not None:
            self._stop(running, cast("StopAsk", new.when_busy))
        if talk not in self.talks:
            self.talks.append(talk)
        talk.items.extend((talk.length + i, item["id"]) for i, item in enumerate(new.items))
        position = talk.length + len(new.items)
        talk.length = position + 1
        turn = _Turn(new, position, texts=[item["id"] for item in new.input])
        talk.turns.append(turn)
        if new.idempotency_key is not None:
            self.keys.append((new, turn))

    def _join(self, talk: _Talk, last: _Turn, new: NewTurn) -> None:
        if self._is_refused(new, last.joined >= BOUNDS.lane, joins=last.new.id):
            return
        last.joined += 1
        last.texts += [item["id"] for item in new.input]
        if last.position != talk.length - 1:  # it moves behind what came since
            last.position = talk.length
            talk.length += 1
            talk.turns.sort(key=lambda turn: turn.position)
        if new.idempotency_key is not None:
            self.keys.append((new, last))

    def _is_refused(self, new: NewTurn, expected: bool, *, joins: str | None = None) -> bool:
        """Let the engine accept a message; whether it refused it, as it had to."""
        try:
            accepted = self._do(self.engine.accept(new))
        except (LaneFull, QueueFull, ConversationBusy):
            assert expected, "refused, though there was room"
            assert self._do(self.engine.turn(new.id)) is None
            return True
        assert not expected, "accepted, though it was full"
        assert (accepted.created, accepted.joined) == (joins is None, joins is not None)
        assert accepted.turn.id == (joins or new.id)
        return False

    def _stop(self, turn: _Turn, why: StopAsk) -> None:
        """A running turn is asked to stop; its worker hears what is new to it."""
        if turn.stop in (None, "interrupt") and turn.stop != why:
            turn.stop = why
            assert self._do(self.worker.told_to_stop()) == (turn.new.id, turn.attempt, why)

    def _take_over(self, claim: Claim) -> None:
        talk = self._talk_of(claim)
        first = talk.unfinished()[0]
        assert first.new.id == claim.turn.id, "not the first of its lane"
        assert first.status == "queued", "it runs already"
        assert claim.attempt == first.attempt + 1
        assert (claim.state.data if claim.state else []) == talk.state
        assert [item["id"] for item in claim.items] == talk.unseen(first.position)
        assert [item["id"] for item in claim.turn.input] == first.texts
        assert [entry.asked for entry in claim.ledger] == first.ledger
        first.status, first.attempt = "running", claim.attempt
        self.claims[claim.turn.id] = claim

    def _draw_running(self, data: st.DataObject) -> tuple[Claim, _Turn]:
        claim = data.draw(st.sampled_from(list(self.claims.values())))
        return claim, next(turn for turn in self._talk_of(claim).turns if turn.new.id == claim.turn.id)

    def _talk_of(self, claim: Claim) -> _Talk:
        return next(talk for talk in self.talks if talk.id == claim.turn.conversation)

    @staticmethod
    def _forget_ledger(turn: _Turn) -> None:
        if turn.status != "needs_attention":
            turn.ledger = []

    def _end_unowned(self, turn: _Turn, status: Status) -> None:
        turn.status = status
        self._forget_ledger(turn)
        turn.floor = turn.attempt * EVENTS_PER_ATTEMPT
        turn.seqs = [turn.floor]

    @staticmethod
    def _requeue(turn: _Turn) -> None:
        turn.status = "queued"
        turn.floor = turn.attempt * EVENTS_PER_ATTEMPT
        turn.seqs = []

    async def _events(self, turn_id: str, after: int) -> list[int]:
        async with asyncio.timeout(PATIENCE):
            return [event.seq async for event in self.engine.events(turn_id, after=after, follow=False)]
