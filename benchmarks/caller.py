"""A process that does one side of a comparison at a time: it reads a task a line, and writes its figures.

Tasks are JSON: `{"do": "bare_turns", "count": 100, "clients": 10, ...}`; see the methods of `Caller`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import AsyncOpenAI

from workload import QUESTION, TURNS_EACH, assistant, history_items, history_messages

Step = Callable[[], Awaitable[None]]


class Caller:
    """Keeps its clients from task to task, as an application does."""

    def __init__(self) -> None:
        self._model: OpenAIChatCompletionClient | None = None
        self._openai: dict[str, AsyncOpenAI] = {}
        self._http = httpx2.AsyncClient(timeout=120)

    async def bare_turns(self, provider: str, count: int, clients: int, kept: bool) -> dict[str, Any]:
        """The agent in a loop, with one shared client.

        kept: one agent object runs all turns of a conversation; else a fresh one a turn, with its state loaded
        before and saved after.
        """
        if self._model is None:
            self._model = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=provider, api_key="practice")
        model = self._model
        start = assistant(model)
        for message in history_messages():
            await start.model_context.add_message(message)
        before = await start.save_state()

        async def conversation() -> None:
            agent, state = await _loaded(model, before), before
            for _ in range(TURNS_EACH):
                if not kept:
                    agent = await _loaded(model, state)
                await agent.run(task=QUESTION)
                if not kept:
                    state = await agent.save_state()

        return await _measured(conversation, count // TURNS_EACH, clients)

    async def served_conversations(self, server: str, count: int) -> dict[str, Any]:
        """Conversations with a history, ready for `served_turns`."""
        made = []
        for _ in range(count // TURNS_EACH):
            answer = await self._http.post(f"{server}/v1/conversations", json={"items": history_items()})
            made.append(answer.raise_for_status().json()["id"])
        return {"conversations": made}

    async def served_turns(self, server: str, conversations: list[str], clients: int) -> dict[str, Any]:
        """All turns of these conversations. The client is as cheap as can be: only the server is measured."""
        waiting = iter(conversations)

        async def conversation() -> None:
            body = {"model": "assistant", "input": QUESTION, "conversation": next(waiting)}
            for _ in range(TURNS_EACH):
                answer = await self._http.post(f"{server}/v1/responses", json=body)
                assert answer.json()["status"] == "completed", answer.text

        return await _measured(conversation, len(conversations), clients)

    async def chats(self, server: str, count: int, clients: int) -> dict[str, Any]:
        """Turns of a plain FastAPI program, so many conversations at once."""

        async def conversation() -> None:
            body = {"conversation": uuid.uuid4().hex, "text": QUESTION}
            for _ in range(TURNS_EACH):
                (await self._http.post(f"{server}/chat", json=body)).raise_for_status()

        return await _measured(conversation, count // TURNS_EACH, clients)

    async def model_calls(self, provider: str, count: int, clients: int) -> dict[str, Any]:
        """The model alone, through OpenAI's client."""
        client = self._client(provider)

        async def call() -> None:
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}]
            )

        return await _measured(call, count, clients)

    async def new_conversations(self, server: str, count: int, clients: int) -> dict[str, Any]:
        """One turn each on a new conversation, through OpenAI's client."""
        client = self._client(f"{server}/v1")

        async def turn() -> None:
            response = await client.responses.create(model="assistant", input=QUESTION)
            assert response.status == "completed", response

        return await _measured(turn, count, clients)

    async def all_at_once(self, server: str, count: int, connections: int) -> dict[str, Any]:
        """Turns that sleep, sent at once in the background; until the server has none that has not ended."""

        async def send() -> None:
            body = {"model": "sleeper", "input": "sleep", "background": True}
            (await self._http.post(f"{server}/v1/responses", json=body)).raise_for_status()

        began = time.perf_counter()
        sent = await _measured(send, count, connections)
        while (await self._http.get(f"{server}/lanes", params={"limit": 1})).json()["lanes"]:
            await asyncio.sleep(0.01)
        return {"seconds": time.perf_counter() - began, "sending": sent["seconds"]}

    def _client(self, base_url: str) -> AsyncOpenAI:
        if base_url not in self._openai:
            self._openai[base_url] = AsyncOpenAI(base_url=base_url, api_key="practice", max_retries=0)
        return self._openai[base_url]


async def _loaded(model: OpenAIChatCompletionClient, state: Any) -> AssistantAgent:
    agent = assistant(model)
    await agent.load_state(state)
    return agent


async def _measured(step: Step, count: int, clients: int) -> dict[str, Any]:
    """`count` steps by so many clients that each do one after the other."""
    left = iter(range(count))
    latencies: list[float] = []

    async def client() -> None:
        for _ in left:
            began = time.perf_counter()
            await step()
            latencies.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "latencies": latencies,
    }


async def main() -> None:
    caller = Caller()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = json.loads(line)
        figures = await getattr(caller, task.pop("do"))(**task)
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # The provider answers with a dated model name; the framework says so at the first call.
    warnings.filterwarnings("ignore", message="Resolved model mismatch")
    if sys.platform == "win32":
        asyncio.run(main())
    else:
        import uvloop  # the server has it too

        uvloop.run(main())
