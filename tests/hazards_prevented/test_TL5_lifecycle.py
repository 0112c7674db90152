"""TL5xx: lifecycle."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, UserProxyAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage, ToolCallRequestEvent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane.practice import Answer, Rule, Script, ToolCall

pytestmark = pytest.mark.anyio


async def test_TL501_fire_and_forget(provider, model, serve, text_of):
    answers: list[str] = []
    url = provider.base_url

    def serve_one_request() -> str:
        async def turn() -> None:
            client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=url, api_key="practice")
            result = await AssistantAgent("support", client).run(task="write it down")
            answers.append(result.messages[-1].to_text())

        async def handler() -> str:
            task = asyncio.create_task(turn())
            while not provider.received:
                await asyncio.sleep(0.01)
            assert not task.done()
            return "200 OK"

        return asyncio.run(handler())  # and the process ends

    with provider.faults.active("hang"):
        assert await asyncio.wait_for(asyncio.to_thread(serve_one_request), 20) == "200 OK"
    assert answers == [], "the caller was told 200, and the turn is gone"

    provider.clear()

    def support() -> AssistantAgent:
        return AssistantAgent("support", model())

    with provider.faults.active("hang"):
        async with serve(support) as served:
            accepted = await served.ask("write it down", background=True)
            await provider.wait_for(1)
    # The process has ended in the middle of the turn. At the next start it goes on by itself.
    async with serve(support) as served:
        ended = await served.ended(accepted["id"])
    assert ended["status"] == "completed"
    assert text_of(ended) == "heard: write it down"
    assert ended["attempt"] == 2


async def test_TL502_abandoned_stream_of_an_agent(provider, model, serve):
    provider.use(
        Script([Rule(when_result_of="look", say="it is: {tool_result}"), Rule(call=[[ToolCall("look")]])])
    )

    async def look() -> str:
        """Look."""
        return "here"

    kept = AssistantAgent("support", model(), tools=[look], reflect_on_tool_use=True)
    async with asyncio.timeout(20):
        stream = kept.run_stream(task="go")
        async for message in stream:
            if isinstance(message, ToolCallRequestEvent):
                break
        await stream.aclose()  # type: ignore[attr-defined]
        later = await asyncio.gather(kept.run(task="again"), return_exceptions=True)
        later += await asyncio.gather(kept.run(task="again"), return_exceptions=True)
    assert ["tool_calls" in str(error) for error in later] == [True, True], "500 for ever"


async def test_TL502_abandoned_stream_of_a_team(provider, model, serve):
    provider.use(Script([Rule(say="one two three four five six seven")], latency=0.05))

    def team() -> RoundRobinGroupChat:
        writers: list[Any] = [AssistantAgent(name, model(), model_client_stream=True) for name in ("one", "two")]
        return RoundRobinGroupChat(writers, max_turns=6)

    async with asyncio.timeout(20):
        async for message in team().run_stream(task="go"):
            if getattr(message, "source", "user") != "user":
                break
        await provider.wait_for(6)
    assert provider.received == 6, "nobody listens, and all turns are made and paid for"


async def test_TL502_a_client_that_leaves_comes_back(provider, model, serve, text_of):
    provider.use(Script([Rule(say=" ".join(f"word{n}" for n in range(40)))], tokens_per_second=100))

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), model_client_stream=True)

    async with serve(support) as served:
        conversation = await served.conversation()
        body = {"model": "support", "input": "go", "stream": True, "conversation": conversation}
        before: list[dict[str, Any]] = []
        async with served.http.stream("POST", "/v1/responses", json=body) as stream:
            async for event in events_of(stream.aiter_lines()):
                before.append(event)
                if event["type"] == "response.output_text.delta":
                    break
        turn = before[0]["response"]["id"]
        last = before[-1]["sequence_number"]
        after: list[dict[str, Any]] = []
        query = {"stream": "true", "starting_after": str(last)}
        async with served.http.stream("GET", f"/v1/responses/{turn}", params=query) as stream:
            async for event in events_of(stream.aiter_lines()):
                after.append(event)
        again = await served.ask("and now?", conversation=conversation)
    numbers = [event["sequence_number"] for event in (*before, *after)]
    assert numbers == sorted(set(numbers)), "nothing twice"
    deltas = [e["delta"] for e in (*before, *after) if e["type"] == "response.output_text.delta"]
    assert after[-1]["type"] == "response.completed"
    assert "".join(deltas) == text_of(after[-1]["response"]), "nothing missed"
    assert again["status"] == "completed"
    assert provider.received == 2


async def events_of(lines: Any) -> Any:
    async for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


async def test_TL503_cancel_that_does_not(provider, model, serve):
    provider.use(Script([Rule(say="and so on")], latency=0.15))

    def team() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([AssistantAgent(name, model()) for name in ("one", "two")], max_turns=8)

    begun = time.monotonic()
    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(team().run(task="go"), 0.2)
    assert time.monotonic() - begun > 0.8, "the time-out of 0.2 s came much later"
    assert provider.received == 8, "after all calls were made"

    provider.clear()
    async with serve(team) as served:
        turn = await served.ask("go", background=True)
        await provider.wait_for(2)
        begun = time.monotonic()
        await served.http.post(f"/v1/responses/{turn['id']}/cancel")
        ended = await served.ended(turn["id"])
        assert time.monotonic() - begun < 1.0
        assert ended["status"] == "cancelled"
    assert provider.received <= 3


async def test_TL504_stdin_in_a_server(provider, model, serve, text_of, monkeypatch):
    def team() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([AssistantAgent("writer", model()), UserProxyAgent("boss")], max_turns=3)

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))  # as under a process manager
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="EOF when reading a line"):
            await team().run(task="a poem")

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("stdin was touched")

    monkeypatch.setattr(sys, "stdin", Untouchable())
    provider.clear()
    async with serve(team) as served:
        conversation = await served.conversation()
        asked = await served.ask("a poem", conversation=conversation)
        assert asked["status"] == "completed"
        assert asked["input_required"]["agent"] == "boss"
    # Also after a restart.
    async with serve(team) as served:
        answered = await served.ask("shorter, please", conversation=conversation)
    assert answered["input_required"] is None
    assert "heard: shorter, please" in text_of(answered)
    assert provider.received == 2, "what the writer said before was not asked again"


class Divider(BaseChatAgent):
    """A user's own agent with a bug."""

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        return Response(chat_message=TextMessage(content=str(1 / 0), source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


async def test_TL505_swallowed_cause(provider, model, serve, told):
    def team() -> RoundRobinGroupChat:
        return RoundRobinGroupChat([AssistantAgent("writer", model()), Divider("divider", "divides")], max_turns=2)

    async def handler() -> tuple[int, str]:
        try:
            await team().run(task="go")
        except Exception:
            return 500, "Internal Server Error"
        return 200, "OK"

    async with asyncio.timeout(20):
        assert await handler() == (500, "Internal Server Error"), "and nobody knows why"

    async with serve(team) as served:
        answer = await served.http.post(
            "/v1/responses", json={"model": "team", "input": "go"}, headers={"x-request-id": "req-7"}
        )
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["error_type"] == "ZeroDivisionError"
    assert error["message"] == "division by zero"
    assert error["agent"] == "divider"
    assert error["request_id"] == "req-7"
    assert error["response_id"]
    [failed] = [fields for name, fields in told if name == "turn.failed"]
    assert "on_messages" in failed["stack"]
    assert "1 / 0" in failed["stack"]
    assert failed["request_id"] == "req-7"


async def test_TL505_the_first_error_has_its_hazard_and_tool(provider, model, serve):
    async def look() -> str:
        """Look."""
        return "here"

    cut = Answer(tool_calls=[ToolCall("look")], finish_reason="length")
    provider.use(lambda request: cut if request.tool_results else Answer(tool_calls=[ToolCall("look")]))

    def support() -> AssistantAgent:
        return AssistantAgent("support", model(), tools=[look], max_tool_iterations=10)

    async with serve(support) as served:
        error = await served.fail("go")
    assert error["hazard"] == "TL307"
    assert error["hazard_url"].endswith("TL307")
    assert error["agent"] == "support"
