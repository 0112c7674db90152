"""Users who go on talking while the store is away, and the proof that nothing of it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from turnlane.runtime.conversation import (
    Claim,
    Conversation,
    Outcome,
    SavedState,
    StopAsk,
    Turn,
    TurnEvent,
    new_id,
)
from turnlane.runtime.engine import Engine, EngineUnavailable, OwnershipLost
from turnlane.telemetry.events import add_sink
from turnlane.testing.scripted_worker import AGENT, new_turn

T = TypeVar("T")

PATIENCE = 15.0
AGAIN = 0.02
"""Seconds after which a user or a worker whom the store refused tries again."""


async def patiently(action: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Try until the store is there."""
    while True:
        with suppress(EngineUnavailable):
            return await action()
        await asyncio.sleep(AGAIN)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what must happen."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"this did not happen within {PATIENCE:g} s: {what}") from None


class EchoWorker:
    """Keeps what it was told as the conversation's state; holds on to a result until the store takes it."""

    def __init__(self, engine: Engine, capacity: int = 20) -> None:
        self.capacity = capacity
        self.agent_limits = {AGENT: None}
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()

    def deliver(self, claim: Claim) -> None:
        task = asyncio.get_running_loop().create_task(self._run(claim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        """Nobody stops a turn here."""

    def lost(self, turn_id: str, attempt: int) -> None:
        """The commit hears of it."""

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, claim: Claim) -> None:
        first = claim.first_seq
        with suppress(OwnershipLost):
            delta = TurnEvent(first, "text.delta", 1.0, {"text": "so"})
            await patiently(lambda: self._engine.publish(claim, [delta]))
            await patiently(lambda: self._engine.commit(claim, self._outcome(claim)))

    @staticmethod
    def _outcome(claim: Claim) -> Outcome:
        heard = [*(claim.state.data if claim.state else []), claim.turn.input[0]["content"]]
        finished = TurnEvent(claim.first_seq + 1, "finished", 2.0, {"status": "completed"})
        return Outcome("completed", state=SavedState("test", "1", heard), events=[finished])


class User:
    """Says one thing after the other in a conversation of its own, each until it is accepted and answered."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._conversation = Conversation(new_id("conv"))
        self.said: list[str] = []
        self.answered = 0

    async def talk(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            text = f"{self._number}.{len(self.said)}"
            new = new_turn(
                self._conversation.id,
                text,
                create_conversation=None if self.said else self._conversation,
                # The answer to an accept may get lost: the same key finds the turn then.
                idempotency_key=new_id("key"),
                fingerprint=text,
            )
            self.said.append(text)
            turn = (await patiently(lambda new=new: self._engine.accept(new))).turn
            await self._answer(turn)
            self.answered += 1

    async def _answer(self, turn: Turn) -> None:
        ended = await patiently(lambda: self._engine.wait(turn.id))
        assert ended is not None
        assert ended.status == "completed", ended

    async def check(self) -> None:
        """What the store has is what was said, in order, each once."""
        entries = await self._engine.entries(self._conversation.id, limit=10_000)
        turns = [entry.turn for entry in entries if entry.turn is not None]
        assert [(turn.input[0]["content"], turn.status) for turn in turns] == [
            (text, "completed") for text in self.said
        ]
        state = await self._engine.state(self._conversation.id)
        assert (state["data"] if state else []) == self.said


class Traffic:
    """Users and a worker, for the length of a block; at its end everybody has been answered, and all is there."""

    def __init__(self, engine: Engine, *, users: int = 8) -> None:
        self.engine = engine
        self.worker = EchoWorker(engine)
        self.users = [User(engine, number) for number in range(users)]
        self.told: list[str] = []
        """The names of what was logged."""
        self._stop = asyncio.Event()
        self._talks: list[asyncio.Task[None]] = []

    async def flows(self, turns: int = 30) -> None:
        """Wait until so many further turns were answered."""
        wanted = self.answered + turns
        await until(lambda: self.answered >= wanted or self._broken(), f"{turns} further turns")

    @property
    def answered(self) -> int:
        return sum(user.answered for user in self.users)

    def _broken(self) -> bool:
        for talk in self._talks:
            if talk.done():
                talk.result()
        return False

    async def __aenter__(self) -> Self:
        self._forget = add_sink(lambda name, fields: self.told.append(name))
        await self.engine.attach(self.worker)
        self._talks = [asyncio.ensure_future(user.talk(self._stop)) for user in self.users]
        await self.flows()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._end_well()
        finally:
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            await self.engine.detach(self.worker)
            await self.worker.end()
            self._forget()

    async def _end_well(self) -> None:
        self._stop.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._talks)
        await until(lambda: self.engine.trouble is None, "the trouble is over")
        for user in self.users:
            await user.check()
