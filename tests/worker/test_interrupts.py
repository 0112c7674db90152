"""A later message stops a running turn: what was said is kept, or forgotten, and the next agent knows."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from tests.worker.conftest import PATIENCE

from turnlane.practice import Answer, Fault, ToolCall
from turnlane.runtime.conversation import Turn

pytestmark = pytest.mark.anyio

AT_ONCE = 2.0
"""Seconds in which a turn must have made room; 1 s is the grace for what does not stop by itself."""


def prompt(request: Any) -> list[tuple[str, str]]:
    """Who said what in a request, the system message left out."""
    return [(m["role"], m["content"]) for m in request.body["messages"] if m["role"] != "system"]


async def made_room(served: Any, first: Turn, second: Turn, within: float = AT_ONCE) -> tuple[Turn, Turn]:
    began = time.monotonic()
    stopped = await served.ended(first)
    assert time.monotonic() - began < within
    return stopped, await served.ended(second)


def until_event(served: Any, turn: Turn, kind: str) -> Any:
    """Wait for an event of a running turn."""

    async def wait() -> None:
        async for event in served.engine.events(turn.id):
            if event.kind == kind:
                return

    return asyncio.wait_for(wait(), PATIENCE)


class TestInterrupt:
    async def test_in_a_model_call_keeps_the_users_text(self, machine, client, provider):
        served = await machine(lambda: AssistantAgent("ann", client(), system_message="ann"))
        begun = await served.say("red")
        provider.use(lambda request: Fault("hang"))
        first = await served.send("green", begun.conversation)
        await provider.wait_for(2)
        provider.use(lambda request: "blue it is")
        second = await served.send("blue", begun.conversation, "interrupt")
        stopped, ended = await made_room(served, first, second)
        assert (stopped.status, stopped.output, stopped.failure) == ("interrupted", (), None)
        assert ended.status == "completed"
        assert prompt(provider.requests[-1]) == [
            ("user", "red"),
            ("assistant", "heard: red"),
            ("user", "green"),
            ("user", "blue"),
        ]
        await served.say("more", begun.conversation)
        assert [text for _, text in prompt(provider.requests[-1])].count("green") == 1

    async def test_in_a_stream_keeps_what_was_said_of_it(self, machine, client, provider):
        served = await machine(
            lambda: AssistantAgent("ann", client(), system_message="ann", model_client_stream=True)
        )
        provider.use(lambda request: Answer(text="one two three", fault=Fault("stall_stream", after_chunks=2)))
        first = await served.send("red")
        await until_event(served, first, "text.delta")
        provider.use(lambda request: "four")
        second = await served.send("blue", first.conversation, "interrupt")
        stopped, ended = await made_room(served, first, second)
        assert stopped.status == "interrupted"
        [said] = stopped.output
        assert (said["type"], said["agent"], said["incomplete"]) == ("message", "ann", "interrupted")
        assert said["text"]
        assert "one two three".startswith(said["text"].strip())
        assert prompt(provider.requests[-1]) == [("user", "red"), ("assistant", said["text"]), ("user", "blue")]
        assert ended.output[-1]["text"] == "four"

    @pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
    async def test_in_a_tool_that_does_not_come_back(self, machine, client, provider, sync):
        reached, let_go = threading.Event(), threading.Event()

        async def wait_async() -> str:
            """Wait."""
            reached.set()
            await asyncio.Event().wait()
            return "never"

        def wait_sync() -> str:
            """Wait."""
            reached.set()
            let_go.wait(PATIENCE)
            return "late"

        name = "wait_sync" if sync else "wait_async"
        provider.use(lambda request: Answer(tool_calls=[ToolCall(name)]) if request.tools else "x")
        served = await machine(lambda: AssistantAgent("ann", client(), tools=[wait_sync if sync else wait_async]))
        first = await served.send("red")
        await served.until(reached.is_set)
        provider.use(lambda request: "four")
        second = await served.send("blue", first.conversation, "interrupt")
        stopped, ended = await made_room(served, first, second)
        let_go.set()
        [called] = stopped.output
        assert (stopped.status, called["type"], called["name"]) == ("interrupted", "tool", name)
        assert (called["output"], called["error"]) == (None, None)
        assert ended.status == "completed"
        assert prompt(provider.requests[-1]) == [("user", "red"), ("user", "blue")]

    async def test_of_a_team_keeps_the_whole_messages(self, machine, client, provider):
        def agent(name: str) -> AssistantAgent:
            return AssistantAgent(name, client(), system_message=name, description=name)

        served = await machine(lambda: RoundRobinGroupChat([agent("ann"), agent("bob")], max_turns=2))
        provider.use(lambda request: Fault("hang") if request.system == "bob" else "I am ann")
        first = await served.send("red")
        await until_event(served, first, "message")
        await provider.wait_for(2)
        provider.use(lambda request: f"{request.system} again")
        second = await served.send("blue", first.conversation, "interrupt")
        stopped, ended = await made_room(served, first, second)
        assert [(item["text"], item["phase"]) for item in stopped.output] == [("I am ann", "commentary")]
        assert [item["text"] for item in ended.output] == ["ann again", "bob again"]
        first_prompt = [text for _, text in prompt(provider.requests[2])]
        assert first_prompt == ["red", "I am ann", "blue"]

    async def test_twice_in_a_row(self, machine, client, provider):
        served = await machine(lambda: AssistantAgent("ann", client(), system_message="ann"))
        provider.use(lambda request: Fault("hang"))
        first = await served.send("red")
        await provider.wait_for(1)
        second = await served.send("green", first.conversation, "interrupt")
        await provider.wait_for(2)
        provider.use(lambda request: "done")
        third = await served.say("blue", first.conversation, "interrupt")
        assert third.status == "completed"
        assert [(await served.ended(turn)).status for turn in (first, second)] == ["interrupted"] * 2
        assert prompt(provider.requests[-1]) == [("user", "red"), ("user", "green"), ("user", "blue")]

    @pytest.mark.parametrize("as_answer", [True, False], ids=["function_call_output", "message"])
    async def test_the_answer_to_a_humans_question_is_not_lost(self, machine, client, provider, as_answer):
        """The turn with the answer is interrupted: the human has then said both texts. One that is not marked as
        an answer may be anything, and comes as soon as the question is answered."""

        def team() -> RoundRobinGroupChat:
            bob = AssistantAgent("bob", client(), system_message="bob")
            return RoundRobinGroupChat([UserProxyAgent("human"), bob], max_turns=2)

        served = await machine(team)
        asked = await served.say("red")
        question = asked.output[-1]
        assert question["type"] == "input.required"
        provider.use(lambda request: Fault("hang"))
        answer = {"type": "function_call_output", "id": "fc_1", "call_id": question["call"], "output": "green"}
        first = await served.send([answer] if as_answer else "green", asked.conversation)
        await provider.wait_for(1)
        provider.use(lambda request: "done")
        second = await served.send("blue", asked.conversation, "interrupt")
        stopped, ended = await made_room(served, first, second)
        assert (stopped.status, ended.status) == ("interrupted", "completed")
        if not as_answer:
            await served.say("white", asked.conversation)
            await served.say("approved", asked.conversation)
        said = [text for _, text in prompt(provider.requests[-1])]
        assert sum("green" in text for text in said) == 1, said
        assert not as_answer or said == ["red", "green\nblue"]


class TestRollback:
    async def test_forgets_both_sides(self, machine, client, provider):
        served = await machine(
            lambda: AssistantAgent("ann", client(), system_message="ann", model_client_stream=True)
        )
        begun = await served.say("red")
        provider.use(lambda request: Answer(text="one two three", fault=Fault("stall_stream", after_chunks=2)))
        first = await served.send("green", begun.conversation)
        await until_event(served, first, "text.delta")
        provider.use(lambda request: "done")
        second = await served.send("blue", begun.conversation, "rollback")
        stopped, ended = await made_room(served, first, second)
        assert stopped.status == "cancelled"
        assert stopped.failure is not None
        assert (stopped.failure.kind, stopped.failure.code) == ("cancelled", "rolled_back")
        assert ended.status == "completed"
        assert prompt(provider.requests[-1]) == [("user", "red"), ("assistant", "heard: red"), ("user", "blue")]


class TestWithALedger:
    async def test_an_interrupted_turn_leaves_none(self, machine, client, provider):
        reached = asyncio.Event()

        async def wait() -> str:
            """Wait."""
            reached.set()
            await asyncio.Event().wait()
            return "never"

        provider.use(lambda request: Answer(tool_calls=[ToolCall("wait")]))
        served = await machine(lambda: AssistantAgent("ann", client(), tools=[wait]))
        first = await served.send("red")
        await asyncio.wait_for(reached.wait(), PATIENCE)
        assert len(await served.engine.ledger(first.id)) == 2
        provider.use(lambda request: "done")
        second = await served.send("blue", first.conversation, "interrupt")
        stopped, _ = await made_room(served, first, second)
        assert stopped.status == "interrupted"
        assert stopped.usage.model_calls == 1
        assert await served.engine.ledger(first.id) == []
