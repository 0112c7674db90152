"""TL5xx: runs that nobody waits for, streams that nobody reads, stops that do not stop."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import UserMessage


def run(scenario: Any) -> Any:
    return asyncio.run(scenario())


def two_agents(client: Any, turns: int) -> RoundRobinGroupChat:
    return RoundRobinGroupChat(
        [AssistantAgent("writer", client), AssistantAgent("critic", client)], max_turns=turns
    )


def test_tl501_a_task_that_nobody_waits_for_is_cancelled(provider, examples, model) -> None:
    provider.delay = 0.3
    cancelled: list[bool] = []

    async def scenario() -> dict[str, str]:
        async with model() as client:
            before = asyncio.all_tasks()
            response = await examples.bad("TL501").start_report("report", client)
            (background,) = asyncio.all_tasks() - before
            background.add_done_callback(lambda task: cancelled.append(task.cancelled()))
            return response

    assert run(scenario) == {"status": "accepted"}  # the caller's answer
    assert cancelled == [True]


def test_tl502_a_team_goes_on_without_its_reader(provider, examples, model) -> None:
    provider.delay = 0.02

    async def scenario() -> int:
        async with model() as client:
            texts = [text async for text in examples.bad("TL502").first_answer(two_agents(client, 5), "hi")]
            assert len(texts) == 2
            at_break = len(provider.requests)
            while len(provider.requests) < 5:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            return at_break

    assert run(scenario) < 3
    assert len(provider.requests) == 5


def test_tl502_an_agent_left_during_a_tool_call_is_broken(provider, model, documented) -> None:
    async def scenario() -> None:
        async with model() as client:

            def order() -> str:
                """Look up an order."""
                return "shipped"

            agent = AssistantAgent("support", client, tools=[order])
            stream = agent.run_stream(task="hi")
            async for item in stream:
                if type(item).__name__ == "ToolCallRequestEvent":
                    break
            await stream.aclose()
            await agent.run(task="again")

    provider.calls_then("order")
    with pytest.raises(Exception, match="tool_call") as error:
        run(scenario)
    assert documented("TL502", error.value)


def test_tl502_readers_may_leave_and_come_back(provider, examples, model) -> None:
    provider.delay = 0.02

    async def scenario() -> tuple[list[int], list[int]]:
        async with model() as client:
            turn = examples.good("TL502").Turn(AssistantAgent("support", client), "hi")
            first: list[int] = []
            async for number, _ in turn.read():
                first.append(number)
                break
            rest = [number async for number, _ in turn.read(after=first[-1])]
            return first, rest

    first, rest = run(scenario)
    assert first == [1]
    assert rest == [2, 3]
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("kind", "calls"), [("bad", 4), ("good", 1)])
def test_tl503_a_time_out_around_a_team(provider, examples, model, documented, kind: str, calls: int) -> None:
    elapsed: list[float] = []

    async def scenario() -> None:
        async with model() as client:
            await client.create([UserMessage(content="hello", source="user")])  # pays for TLS and types
            provider.requests.clear()
            provider.delay = 0.5
            start = time.monotonic()
            try:
                await getattr(examples, kind)("TL503").answer(two_agents(client, 4), "hi", 0.25)
            finally:
                elapsed.append(time.monotonic() - start)

    with pytest.raises(TimeoutError) as error:
        run(scenario)
    assert documented("TL503", error.value)
    assert len(provider.requests) == calls
    assert (elapsed[0] >= 4 * provider.delay) is (kind == "bad")


def test_tl503_a_team_in_time(provider, examples, model) -> None:
    async def scenario() -> str:
        async with model() as client:
            return await examples.good("TL503").answer(two_agents(client, 1), "hi", 5)

    assert run(scenario) == "You said: hi"


def test_tl504_a_closed_terminal(provider, examples, model, documented, monkeypatch, caplog, tmp_path) -> None:
    caplog.set_level(logging.CRITICAL)
    empty = tmp_path / "stdin"
    empty.touch()

    async def scenario() -> None:
        async with model() as client:
            await examples.bad("TL504").refunds(client).run(task="refund order 7")

    with empty.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(RuntimeError) as error:
            run(scenario)
    assert documented("TL504", error.value)


def test_tl504_the_answer_is_the_next_turn(provider, examples, model) -> None:
    module = examples.good("TL504")

    def script(messages: Any) -> Any:
        asked = any(message.get("tool_calls") for message in messages)
        return provider.say("refunded") if asked else provider.say(calls=(("transfer_to_user", {}),))

    provider.script = script

    async def scenario() -> tuple[Any, Any]:
        async with model() as client:
            asked, state = await module.ask(client, "refund order 7")
            stored = json.loads(json.dumps(state))  # another process, another day
            return asked, await module.resume(client, stored, "yes, do it")

    asked, done = run(scenario)
    assert asked.messages[-1].target == "user"
    assert done.messages[-1].to_text() == "refunded"
    assert provider.user_texts()[-1] == ["refund order 7", "yes, do it"]


def test_tl505_the_cause_is_lost_and_kept(provider, examples, model, caplog) -> None:
    caplog.set_level(logging.ERROR, "support")
    provider.script = lambda messages: provider.say(status=401, error="Incorrect API key provided")

    async def scenario(module: Any) -> Any:
        async with model() as client:
            with pytest.raises(module.HTTPException) as error:
                await module.chat("hi", client)
            return error.value

    bare = asyncio.run(scenario(examples.bad("TL505")))
    assert "AuthenticationError" not in str(bare.detail)
    assert caplog.text == ""
    named = asyncio.run(scenario(examples.good("TL505")))
    assert named.detail["type"] == "AuthenticationError"
    assert named.detail["request_id"] in caplog.text
    assert "Incorrect API key provided" in caplog.text
