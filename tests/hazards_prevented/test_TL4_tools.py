"""TL4xx: tools. TL403 (a tool that writes globals) is the user's own code: serving can't prevent it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import httpx2
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken

from turnlane.practice import Rule, Script, ToolCall

pytestmark = pytest.mark.anyio


def calls(tool: str, **arguments: Any) -> Script:
    return Script(
        [
            Rule(when_result_of=tool, say="it is: {tool_result}"),
            Rule(call=[[ToolCall(tool, arguments)]], say="done"),
        ]
    )


def tool_of(response: dict[str, Any]) -> dict[str, Any]:
    return next(item for item in response["output"] if item["type"] == "mcp_call")


async def test_TL401_tool_raises(provider, model, serve, text_of):
    provider.use(calls("policy", policy_id="P-404"))
    policies = {"P-1": "30 days"}

    async def policy(policy_id: str) -> str:
        """Read a policy."""
        return policies[policy_id]

    async with asyncio.timeout(20):
        result = await AssistantAgent("support", model(), tools=[policy]).run(task="refund?")
    assert result.messages[-1].to_text() == "'P-404'", "the bare key is the answer, and the type is lost"

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[policy], reflect_on_tool_use=True)

    provider.clear()
    async with serve(support) as served:
        answer = await served.ask("refund?")
    error = tool_of(answer)["error"]
    assert "KeyError" in str(error)
    assert "TL401" in str(error)
    assert "'P-404'" not in text_of(answer)
    told_the_model = provider.requests[-1].body["messages"][-1]["content"]
    assert '"type": "KeyError"' in told_the_model


async def test_TL402_tool_runs_its_own_agent(provider, model, serve):
    provider.use(calls("ask_again"))
    started = 0
    enough = False

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[ask_again])

    async def ask_again() -> str:
        """Ask the support agent."""
        nonlocal started
        started += 1
        if enough:
            return "enough"
        result = await support().run(task="again")
        return result.messages[-1].to_text()

    run = asyncio.create_task(support().run(task="go"))
    await provider.wait_for(40, timeout=20)
    assert not run.done(), "it goes on until somebody stops it"
    enough = True
    await asyncio.wait_for(run, 20)

    provider.clear()
    started, enough = 0, False
    async with serve(support, max_model_calls=10) as served:
        answer = await served.post("go")
    # The innermost call is refused, and the error travels outwards through the tools.
    assert provider.received <= 11
    assert started <= 11
    assert "TL402" in answer.text


async def test_TL402_tool_calls_its_own_conversation(provider, model, serve, text_of):
    provider.use(calls("ask_service"))
    locks = {"conversation": asyncio.Lock()}

    async def handle() -> None:
        async def ask_service() -> str:
            """Ask the service."""
            await handle()
            return "asked"

        async with locks["conversation"]:
            await AssistantAgent("support", model(), tools=[ask_service]).run(task="go")

    waiting = asyncio.create_task(handle())
    await provider.wait_for(1)
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done, "it waits for itself"
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=5)

    provider.clear()
    target: dict[str, Any] = {}

    async def ask_service() -> dict[str, Any]:
        """Ask the service."""
        begun = time.monotonic()
        body = {"model": "support", "input": "inner", "conversation": target["conversation"]}
        async with httpx2.AsyncClient(base_url=target["url"], timeout=10) as http:
            answer = await http.post("/v1/responses", json=body)
        target["answer"] = answer
        target["seconds"] = time.monotonic() - begun
        return {"status": answer.status_code}

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[ask_service], reflect_on_tool_use=True)

    async with serve(support) as served:
        target["conversation"] = conversation = await served.conversation()
        target["url"] = served.server.url
        outer = await served.ask("go", conversation=conversation)
    refused = target["answer"]
    assert refused.status_code == 409
    assert refused.json()["error"]["hazard"] == "TL402"
    assert target["seconds"] < 2
    assert "409" in text_of(outer)


async def test_TL404_stop_during_a_tool(provider, model, serve, text_of):
    provider.use(calls("slow"))
    reached = asyncio.Event()
    hold = asyncio.Event()

    async def slow() -> str:
        """Take long."""
        reached.set()
        await hold.wait()
        return "fine"

    token = CancellationToken()
    run = asyncio.create_task(
        AssistantAgent("support", model(), tools=[slow]).run(task="go", cancellation_token=token)
    )
    await asyncio.wait_for(reached.wait(), 10)
    token.cancel()
    done, _ = await asyncio.wait({run}, timeout=1.0)
    assert not done, "cancelled, and hangs for ever"
    run.cancel()
    await asyncio.wait({run}, timeout=5)

    reached.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[slow], reflect_on_tool_use=True)

    async with serve(support) as served:
        conversation = await served.conversation()
        first = await served.ask("go", conversation=conversation, background=True)
        await asyncio.wait_for(reached.wait(), 10)
        begun = time.monotonic()
        await served.http.post(f"/v1/responses/{first['id']}/cancel")
        assert (await served.ended(first["id"]))["status"] == "cancelled"
        assert time.monotonic() - begun < 2
        hold.set()
        assert text_of(await served.ask("go on", conversation=conversation)) == "it is: fine"


async def test_TL404_a_tool_that_cancels_itself(provider, model, serve):
    provider.use(calls("odd"))

    async def odd() -> str:
        """Be odd."""
        raise asyncio.CancelledError

    run = asyncio.create_task(AssistantAgent("support", model(), tools=[odd]).run(task="go"))
    done, _ = await asyncio.wait({run}, timeout=1.0)
    assert not done, "hangs for ever"
    run.cancel()
    await asyncio.wait({run}, timeout=5)

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[odd])

    async with serve(support) as served:
        answer = await served.ask("go")
    assert "TL404" in str(tool_of(answer)["error"])


async def test_TL404_sync_tools_do_not_block_each_other(provider, model, serve):
    """More tools that wait than the default executor has threads (6 on two cores)."""
    provider.use(calls("meet"))
    many = 40
    barrier = threading.Barrier(many, timeout=15)

    def meet() -> str:
        """Wait for all the others."""
        barrier.wait()
        return "met"

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[meet])

    async with serve(support) as served:
        answers = await asyncio.gather(*(served.ask("go") for _ in range(many)))
    assert {tool_of(answer)["output"] for answer in answers} == {"met"}


async def test_TL405_tool_leaks(provider, model, serve, told):
    provider.use(calls("query"))

    async def query() -> str:
        """Ask the database."""
        raise RuntimeError("secret dsn=postgres://u:p@h/db")

    async with asyncio.timeout(20):
        result = await AssistantAgent("support", model(), tools=[query]).run(task="go")
    assert "postgres://u:p@h/db" in result.messages[-1].to_text()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[query], reflect_on_tool_use=True)

    provider.clear()
    async with serve(support) as served:
        answer = await served.post("go")
        streamed = await served.http.get(f"/v1/responses/{answer.json()['id']}?stream=true")
    assert answer.status_code == 200
    for shown in (answer.text, streamed.text, provider.requests[-1].text):
        assert "dsn" not in shown
    stacks = [fields["stack"] for name, fields in told if name == "tool.failed"]
    assert len(stacks) == 1
    assert "RuntimeError: secret dsn=" in stacks[0], "the log has it"
