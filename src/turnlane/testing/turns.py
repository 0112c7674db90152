"""Turns of an agent without engine, worker or server: what tests of agents and of adapters need.

    talk = Talk(AgentchatAdapter(), my_factory)
    ended = await talk.say("where is order 1001?")
    assert ended.answer == "on its way"

Between two turns only JSON text is kept, as an engine keeps it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from turnlane.runtime.agent import Adapter, Answer, Prepared, Run, StopReason, current_run
from turnlane.runtime.conversation import (
    Claim,
    Failure,
    JsonObject,
    SavedState,
    Turn,
    TurnEvent,
    Usage,
    new_id,
)
from turnlane.runtime.model import ModelBoundary
from turnlane.runtime.tool_calls import ToolCall, current_call


@dataclass
class Ended:
    """How an attempt ended: with an answer, or with an error."""

    run: Run
    events: list[TurnEvent]
    output: Sequence[JsonObject] = ()
    error: BaseException | None = None
    failure: Failure | None = None

    @property
    def usage(self) -> Usage:
        return self.run.usage

    @property
    def answer(self) -> str | None:
        """The text of the final answer; None without one."""
        messages = [item for item in self.output if item["type"] == "message"]
        return messages[-1]["text"] if messages else None

    @property
    def question(self) -> JsonObject | None:
        """The `input.required` that the turn ended with, if any."""
        return next((item for item in self.output if item["type"] == "input.required"), None)

    def items(self, kind: str) -> list[JsonObject]:
        return [item for item in self.output if item["type"] == kind]

    def data(self, kind: str) -> list[JsonObject]:
        """The data of the events of a kind."""
        return [event.data for event in self.events if event.kind == kind]

    @property
    def said(self) -> list[tuple[str, str]]:
        """Who said what: agent and text of each message."""
        return [(item["agent"], item["text"]) for item in self.items("message")]


@dataclass
class Attempt:
    """An attempt that is under way."""

    run: Run
    events: list[TurnEvent]
    task: asyncio.Task[Answer]
    _adapter: Adapter

    def stop(self, reason: StopReason = "cancelled") -> None:
        self.run.stop.set(reason)

    async def ended(self, within: float = 10.0) -> Ended:
        """Wait for the end.

        Raises:
            TimeoutError: it did not end within so many seconds. It is left running, as it is.
        """
        done, _ = await asyncio.wait({self.task}, timeout=within)
        if not done:
            raise TimeoutError(f"the attempt did not end within {within:g} s")
        try:
            return Ended(self.run, self.events, self.task.result().output)
        except (Exception, asyncio.CancelledError) as error:
            failure = self.run.failure or self._adapter.failure(error)
            return Ended(self.run, self.events, error=error, failure=failure)


@dataclass
class Talk:
    """One conversation with an agent, turn by turn.

    Args:
        adapter: what knows the agent's framework.
        factory: makes a fresh agent; called for each turn.
        limits: settings of `Run`, such as `tool_timeout` or `max_model_calls`.
    """

    adapter: Adapter
    factory: Callable[[], Any]
    limits: dict[str, Any] = field(default_factory=dict)
    boundary: ModelBoundary = field(default_factory=ModelBoundary)
    state: str | None = None
    """The conversation's state as JSON text; None before the first turn."""
    turns: int = 0

    async def say(self, message: str | Sequence[JsonObject], *, items: Sequence[JsonObject] = ()) -> Ended:
        """A whole turn. An error is raised, not returned."""
        ended = await self.begin(message, items=items).ended()
        if ended.error is not None:
            raise ended.error
        return ended

    async def fail(self, message: str | Sequence[JsonObject], *, items: Sequence[JsonObject] = ()) -> Ended:
        """A turn that is expected to end with an error."""
        ended = await self.begin(message, items=items).ended()
        assert ended.error is not None, f"the turn was to fail and answered {ended.answer!r}"
        return ended

    def begin(self, message: str | Sequence[JsonObject], *, items: Sequence[JsonObject] = ()) -> Attempt:
        """Start a turn in a task of its own."""
        self.turns += 1
        state = None if self.state is None else SavedState.from_json(json.loads(self.state))
        turn = Turn(
            id=new_id("resp"),
            conversation="conv_talk",
            agent="agent",
            key="local",
            position=self.turns,
            status="running",
            attempt=1,
            input=[user_message(message)] if isinstance(message, str) else message,
        )
        events: list[TurnEvent] = []
        run = Run(Claim(turn, state, items), "agent", events.append, self.boundary, **self.limits)
        return Attempt(run, events, asyncio.ensure_future(self._run(run)), self.adapter)

    async def _run(self, run: Run) -> Answer:
        current_run.set(run)
        prepared: Prepared | None = None
        try:
            with run.stoppable():
                built = self.factory()
                if inspect.isawaitable(built):
                    built = await built
            prepared = self.adapter.prepare(built, run)
            del built
            if run.claim.state is not None:
                await prepared.load(run.claim.state)
            answer = await prepared.run(run.claim.turn.input, run.claim.items)
            run.stop.check()
            saved = await prepared.save()
            self.state = json.dumps(saved.to_json())
            return answer
        finally:
            if prepared is not None:
                await prepared.discard()


@contextmanager
def tool_called(name: str = "tool", key: str | None = None, *, attempt: int = 1) -> Iterator[ToolCall]:
    """Inside, a tool that is called directly can ask for its `turnlane.tool_call()`.

        with tool_called("pay", key="k1"):
            assert pay("invoice 7") == "paid with k1"

    Args:
        key: the call's idempotency key; None: a new one.
    """
    call = ToolCall(name, key or new_id("key"), attempt, new_id("resp"), "conv_test")
    token = current_call.set(call)
    try:
        yield call
    finally:
        current_call.reset(token)


def user_message(text: str, *, role: str = "user") -> JsonObject:
    """An input item with a text."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "id": new_id("msg"), "role": role, "content": [{"type": kind, "text": text}]}
