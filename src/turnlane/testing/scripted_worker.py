"""A worker that runs nothing, and turns, events and outcomes to drive an engine with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from turnlane.runtime.conversation import (
    Claim,
    Conversation,
    Failure,
    JsonObject,
    NewTurn,
    Outcome,
    SavedState,
    Status,
    StopAsk,
    TurnEvent,
    Usage,
    new_id,
)

PATIENCE: Final = 30.0
"""Seconds after which something that must happen counts as not happening."""

AGENT: Final = "echo"
BOOM: Final = Failure(type="ValueError", message="boom", kind="agent")


class ScriptedWorker:
    """A worker that runs nothing: the test takes its claims and decides how they end."""

    def __init__(self, capacity: int = 100, agent_limits: Mapping[str, int | None] | None = None) -> None:
        self.capacity = capacity
        self.agent_limits = agent_limits or {AGENT: None}
        self.claims: asyncio.Queue[Claim] = asyncio.Queue()
        self.stopped: asyncio.Queue[tuple[str, int, StopAsk]] = asyncio.Queue()
        self.lost_ones: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def deliver(self, claim: Claim) -> None:
        self.claims.put_nowait(claim)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        self.stopped.put_nowait((turn_id, attempt, why))

    def lost(self, turn_id: str, attempt: int) -> None:
        self.lost_ones.put_nowait((turn_id, attempt))

    async def claim(self) -> Claim:
        """The next turn that the engine hands over."""
        async with asyncio.timeout(PATIENCE):
            return await self.claims.get()

    async def told_to_stop(self) -> tuple[str, int, StopAsk]:
        """The turn that is to stop next, its attempt, and why."""
        async with asyncio.timeout(PATIENCE):
            return await self.stopped.get()


def message(text: str) -> JsonObject:
    """An input item as `turnlane.runtime.intake` makes it."""
    return {"id": new_id("msg"), "type": "message", "role": "user", "content": text}


def new_turn(conversation: str, text: str = "hello", **changes: Any) -> NewTurn:
    """A turn of an existing conversation."""
    fields = {"id": new_id("resp"), "agent": AGENT, "input": [message(text)], **changes}
    return NewTurn(conversation=conversation, **fields)


def first_turn(text: str = "hello", **changes: Any) -> NewTurn:
    """A turn that makes its own conversation."""
    conversation = Conversation(new_id("conv"), key=changes.get("key", "local"))
    return new_turn(conversation.id, text, create_conversation=conversation, **changes)


def event(claim: Claim, offset: int, text: str = "") -> TurnEvent:
    """Event number `offset` of the claim's attempt."""
    return TurnEvent(claim.first_seq + offset, "text.delta", 1.0, {"text": text})


def outcome(claim: Claim, status: Status = "completed", *, said: int = 0) -> Outcome:
    """An end of the attempt. Its state is the old one and the turn's id; `said` events were published."""
    before = claim.state.data if claim.state else []
    saved = SavedState("test", "1", [*before, claim.turn.id])
    finished = TurnEvent(claim.first_seq + said, "finished", 2.0, {"status": status})
    if status in ("failed", "cancelled", "needs_attention"):
        return Outcome(status, failure=BOOM, events=[finished])
    answer = {"type": "message", "item": answer_id(claim.turn.id), "text": f"answer to {claim.turn.id}"}
    if status == "interrupted":
        return Outcome(status, output=[answer], usage=Usage(3, 1, 1, 0), events=[finished])
    return Outcome(status, output=[answer], usage=Usage(3, 4, 1, 0), state=saved, events=[finished])


def answer_id(turn_id: str) -> str:
    """The id of the answer in `outcome`."""
    return f"answer_{turn_id}"
