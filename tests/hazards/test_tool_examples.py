"""TL4xx: the tools of the pages, called by a real agent."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent


def run(scenario: Any) -> Any:
    return asyncio.run(scenario())


def answer_with(model: Any, *tools: Any) -> str:
    """Run one turn of an agent with these tools and return what the user reads."""

    async def scenario() -> str:
        async with model() as client:
            result = await AssistantAgent("support", client, tools=list(tools)).run(task="hi")
            return result.messages[-1].to_text()

    return asyncio.run(scenario())


def test_tl401_a_key_error_is_the_answer(provider, examples, model, documented) -> None:
    provider.calls_then("policy", policy_id="P-404")
    answer = answer_with(model, examples.bad("TL401").policy)
    assert answer == "'P-404'"
    assert documented("TL401", answer)


def test_tl401_a_structured_error(provider, examples, model) -> None:
    provider.calls_then("policy", policy_id="P-404")
    answer = json.loads(answer_with(model, examples.good("TL401").policy))
    assert answer["error"] == "unknown_policy"
    assert "P-1" in answer["hint"]


def test_tl402_a_tool_that_runs_its_agent(provider, examples, model, documented) -> None:
    provider.calls_then("ask_again", question="and?")

    async def scenario() -> str:
        async with model() as client:
            return (await examples.bad("TL402").support(client).run(task="hi")).messages[-1].to_text()

    assert documented("TL402", run(scenario))  # the provider's 400 is the user's answer
    assert len(provider.requests) == 2


def test_tl402_a_tool_that_asks_another_agent(provider, examples, model) -> None:
    def script(messages: Any) -> Any:
        if messages[-1]["role"] == "tool":
            return provider.say(f"The expert says: {messages[-1]['content']}")
        if len(provider.requests) == 1:
            return provider.say(calls=(("ask_expert", {"question": "is it paid?"}),))
        return provider.say("yes, paid")

    provider.script = script

    async def scenario() -> str:
        async with model() as client:
            return (await examples.good("TL402").support(client).run(task="hi")).messages[-1].to_text()

    assert run(scenario) == "The expert says: yes, paid"
    assert provider.user_texts()[1] == ["is it paid?"]


def test_tl403_an_update_is_lost(provider, examples, model) -> None:
    module = examples.bad("TL403")
    provider.calls_then("reserve", "reserve", item="lamp")
    answer_with(model, module.reserve)
    assert module.stock == {"lamp": 9}  # two were reserved from ten


def test_tl403_an_update_in_one_step(provider, examples, model, tmp_path) -> None:
    path = str(tmp_path / "stock.db")
    with sqlite3.connect(path) as rows:
        rows.execute("create table stock (item, pieces)")
        rows.execute("insert into stock values ('lamp', 2)")
    provider.calls_then("reserve", "reserve", "reserve", item="lamp")
    answer = answer_with(model, examples.good("TL403").reserving(path))
    assert sorted(answer.splitlines()) == ["0 left", "1 left", "sold out"]


def test_tl404_a_stop_during_a_tool_never_ends(provider, examples, model) -> None:
    provider.calls_then("slow_report", month="May")
    started = threading.Event()
    module = examples.bad("TL404", "tools.py")
    _tell_when_called(module, started)

    async def scenario() -> bool:
        async with model() as client:
            stop = asyncio.Event()
            agent = AssistantAgent("support", client, tools=[module.slow_report])
            run = asyncio.create_task(examples.bad("TL404", "stop.py").run_until(stop, agent, "hi"))
            await _until(started)
            stop.set()
            done, _ = await asyncio.wait({run}, timeout=0.5)
            run.cancel()
            return bool(done)

    assert run(scenario) is False


def test_tl404_a_stoppable_tool_ends_the_run(provider, examples, model) -> None:
    provider.calls_then("slow_report", month="May")
    started = threading.Event()
    module = examples.good("TL404")
    _tell_when_called(module, started)

    async def scenario() -> str:
        async with model() as client:
            stop = asyncio.Event()
            agent = AssistantAgent("support", client, tools=[module.slow_report])
            run = asyncio.create_task(examples.bad("TL404", "stop.py").run_until(stop, agent, "hi"))
            await _until(started)
            stop.set()
            return await asyncio.wait_for(run, 2)

    start = time.monotonic()
    assert run(scenario) == "Stopped before it finished."
    assert time.monotonic() - start < 2


def _tell_when_called(module: Any, started: threading.Event) -> None:
    """Say when the tool's own wait begins; the example's code stays as it is."""

    class Waiting:
        CancelledError = asyncio.CancelledError

        @staticmethod
        async def sleep(seconds: float) -> None:
            started.set()
            await asyncio.sleep(seconds)

    module.asyncio = Waiting


async def _until(happened: threading.Event) -> None:
    while not happened.is_set():
        await asyncio.sleep(0.005)


def test_tl405_a_secret_in_the_answer(provider, examples, model) -> None:
    provider.calls_then("order_status", order_id="7")
    assert "hunter2" in answer_with(model, examples.bad("TL405").order_status)


def test_tl405_the_words_of_the_page(provider, model, documented) -> None:
    def order_status(order_id: str) -> str:
        """Look up an order."""
        raise ConnectionError("secret dsn=postgres://u:p@h/db")

    provider.calls_then("order_status", order_id="7")
    assert documented("TL405", answer_with(model, order_status))


def test_tl405_a_code_in_the_answer(provider, examples, model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "orders")
    provider.calls_then("order_status", order_id="7")
    answer = json.loads(answer_with(model, examples.good("TL405").order_status))
    assert answer["error"] == "orders_unavailable"
    assert answer["incident"] in caplog.text
    assert "unable to open database file" in caplog.text
