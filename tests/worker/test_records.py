"""What is recorded when: a tool starts only when it is known to have begun, and nobody else waits for a record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from tests.worker.conftest import PATIENCE, Deeds

from turnlane.practice import Answer, ToolCall
from turnlane.runtime.conversation import Claim, LedgerEntry
from turnlane.runtime.engine import EngineUnavailable, NotJson, OwnershipLost
from turnlane.runtime.engines.embedded import EmbeddedEngine

pytestmark = pytest.mark.anyio

Hook = Callable[[Sequence[LedgerEntry]], Any]


class Watched(EmbeddedEngine):
    """The real engine; a test may hold a record up, or let it fail, before it is made."""

    def __init__(self, folder: Path, before: Hook) -> None:
        super().__init__(folder)
        self.before = before
        self.batches: list[list[str]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def record(self, claim: Claim, entries: Sequence[LedgerEntry]) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if (wait := self.before(entries)) is not None:
                await wait
            await super().record(claim, entries)
            self.batches.append([f"{entry.name} {entry.phase}" for entry in entries])
        finally:
            self.under_way -= 1


@pytest.fixture
def watched(machine: Any, client: Any, deeds: Deeds, provider: Any) -> Callable[..., Any]:
    """A machine whose model calls the tool `act` with `a` and then `b`, at once or one after the other."""

    async def start(before: Hook, *, at_once: bool = False, **settings: Any) -> Any:
        def script(request: Any) -> Any:
            done = [message for message in request.messages if message["role"] == "tool"]
            left = ["a", "b"][len(done) :]
            if left:
                return Answer(
                    tool_calls=[ToolCall("act", {"deed": deed}) for deed in (left if at_once else left[:1])]
                )
            return "done"

        async def act(deed: str) -> str:
            """Do something."""
            return await deeds.do(deed)

        provider.use(script)
        return await machine(
            lambda: AssistantAgent("ann", client(), tools=[act], max_tool_iterations=5),
            make_engine=lambda folder: Watched(folder, before),
            **settings,
        )

    return start


def begins(entries: Sequence[LedgerEntry], deed: int = 1) -> bool:
    return any(entry.phase == "begun" for entry in entries)


async def test_a_tool_starts_when_its_beginning_is_durable(watched, deeds):
    kept = asyncio.Event()
    waiting = asyncio.Event()

    def before(entries: Sequence[LedgerEntry]) -> Any:
        if begins(entries) and not kept.is_set():
            waiting.set()
            return kept.wait()
        return None

    served = await watched(before)
    turn = await served.send("go")
    await asyncio.wait_for(waiting.wait(), PATIENCE)
    assert deeds.begun == []
    kept.set()
    assert (await served.ended(turn)).status == "completed"
    assert deeds.done == ["a", "b"]


async def test_one_call_at_a_time_and_the_rest_behind_it(watched, deeds):
    served = await watched(lambda entries: None, at_once=True)
    assert (await served.say("go")).status == "completed"
    assert served.engine.most_under_way == 1
    assert served.engine.batches[0] == ["gpt-4o-mini ended", "act begun", "act begun"]


async def test_a_turn_without_tools_ends_before_anything_is_written(machine, client):
    served = await machine(
        lambda: AssistantAgent("ann", client()), make_engine=lambda folder: Watched(folder, lambda entries: None)
    )
    turns = [await served.say("go") for _ in range(5)]
    assert [turn.status for turn in turns] == ["completed"] * 5
    assert len(served.engine.batches) < 5, "the commit makes it useless"


async def test_the_commit_does_not_wait_for_a_record(watched, deeds):
    """The records of the last tool's end and of the last answer hang."""
    never = asyncio.Event()
    served = await watched(lambda entries: never.wait() if deeds.done == ["a", "b"] else None)
    ended = await served.say("go")
    assert ended.status == "completed"
    never.set()


async def test_who_lost_the_turn_starts_no_tool(watched, deeds):
    """A worker that was frozen and replaced wakes up just before its tool."""

    def before(entries: Sequence[LedgerEntry]) -> None:
        if begins(entries):
            raise OwnershipLost("another attempt owns the turn")

    served = await watched(before)
    turn = await served.send("go")
    await served.until(lambda: not served.worker.running)
    assert deeds.begun == []
    now = await served.engine.turn(turn.id)
    assert now.status == "running", "it is the other attempt's to end"


async def test_while_the_store_is_gone_a_tool_waits(watched, deeds, monkeypatch):
    monkeypatch.setattr("turnlane.worker.records.RETRY_PAUSE", 0.01)
    tries = 0

    def before(entries: Sequence[LedgerEntry]) -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            assert deeds.begun == []
            raise EngineUnavailable("the disk is full")

    served = await watched(before)
    ended = await served.say("go")
    assert ended.status == "completed"
    assert tries > 3
    assert deeds.done == ["a", "b"]


async def test_and_no_longer_than_the_turn_has_time(watched, deeds):
    def before(entries: Sequence[LedgerEntry]) -> None:
        raise EngineUnavailable("the disk is full")

    served = await watched(before, deadline=0.3)
    ended = await served.say("go")
    assert ended.failure.code == "deadline_exceeded"
    assert deeds.begun == []


async def test_what_no_store_takes_is_left_out_and_the_rest_is_kept(watched, deeds):
    def before(entries: Sequence[LedgerEntry]) -> None:
        if any(entry.kind == "model" for entry in entries):
            raise NotJson("the ledger", ValueError("NaN"))

    served = await watched(before)
    deeds.get_stuck_in("b")
    turn = await served.send("go")
    await deeds.stuck()
    kept = await served.engine.ledger(turn.id)
    assert [(entry.name, entry.phase) for entry in kept] == [("act", "begun"), ("act", "ended"), ("act", "begun")]
    await served.engine.cancel(turn.id)


async def test_a_bug_in_the_store_lets_no_tool_start_and_hangs_nothing(watched, deeds):
    def before(entries: Sequence[LedgerEntry]) -> None:
        raise ZeroDivisionError

    served = await watched(before)
    ended = await served.say("go")
    assert ended.status == "completed"
    assert deeds.begun == []
    assert [item["error"]["type"] for item in ended.output if item["type"] == "tool"] == ["NotStarted"] * 2


async def test_a_bug_does_not_hold_up_later_tools(watched, deeds):
    """Nothing can be recorded any more, so nothing may start: told at once, not at the deadline."""
    calls = 0

    def before(entries: Sequence[LedgerEntry]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError

    served = await watched(before)
    ended = await served.say("go")
    assert ended.status == "completed"
    assert deeds.done == ["a"]
