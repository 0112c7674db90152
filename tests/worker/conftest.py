"""A machine for the worker's tests: real engine, real AutoGen, real HTTP; it can die and be started again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App
from turnlane.practice import PracticeProvider
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.conversation import Conversation, JsonObject, LedgerEntry, NewTurn, Turn, WhenBusy, new_id
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.testing.turns import user_message
from turnlane.worker.worker import TurnWorker

PATIENCE = 30.0
"""Seconds after which a test that waits has failed."""


class Machine:
    """An engine with a worker, for one agent named `agent`. `say` is a whole turn."""

    def __init__(
        self,
        folder: Path,
        factory: Callable[[], Any],
        make_engine: Callable[[Path], EmbeddedEngine] = EmbeddedEngine,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self._make_engine = make_engine
        self.app = App()
        self.app.add(factory, name="agent", **settings)

    async def start(self) -> None:
        self.engine = self._make_engine(self.folder)
        self.worker = TurnWorker(self.engine, self.app, [AgentchatAdapter()])
        await self.engine.open()
        await self.worker.start()

    async def stop(self) -> None:
        await self.worker.close()
        await self.engine.close()

    async def die(self) -> None:
        """As a kill -9: nothing is written that was not yet, and what runs goes no further."""
        await self.engine.crash()
        for attempt in list(self.worker._attempts.values()):
            attempt.stop("lost")
        await self.until(lambda: not self.worker.running)
        await self.worker.close()

    async def die_and_start(self) -> None:
        await self.die()
        await self.start()

    async def send(
        self,
        message: str | Sequence[JsonObject],
        conversation: str | None = None,
        when_busy: WhenBusy = "enqueue",
    ) -> Turn:
        made = Conversation(new_id("conv")) if conversation is None else None
        new = NewTurn(
            id=new_id("resp"),
            conversation=made.id if made else str(conversation),
            agent="agent",
            input=[user_message(message)] if isinstance(message, str) else message,
            when_busy=when_busy,
            create_conversation=made,
        )
        return (await self.engine.accept(new)).turn

    async def say(self, text: str, conversation: str | None = None, when_busy: WhenBusy = "enqueue") -> Turn:
        return await self.ended(await self.send(text, conversation, when_busy))

    async def ended(self, turn: Turn) -> Turn:
        ended = await self.engine.wait(turn.id, timeout=PATIENCE)
        assert ended is not None
        assert ended.ended, f"still {ended.status} after {PATIENCE} s"
        return ended

    async def recorded(self, turn: Turn, count: int) -> Sequence[LedgerEntry]:
        """The turn's ledger, once it has so many entries."""
        async with asyncio.timeout(PATIENCE):
            while len(entries := await self.engine.ledger(turn.id)) < count:
                await asyncio.sleep(0.002)
        return entries

    async def until_durable(self, kind: str, count: int) -> None:
        """Until so many events of a kind would survive the machine's death."""
        async with asyncio.timeout(PATIENCE):
            while self._stored_events().count(f'"{kind}"') < count:
                await asyncio.sleep(0.01)

    def _stored_events(self) -> str:
        with closing(sqlite3.connect(f"file:{self.engine.path}?mode=ro", uri=True)) as store:
            return "".join(row[0] for row in store.execute("SELECT events FROM event_chunk"))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that has no event of its own to wait for."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a machine for an agent's factory and settings."""
    started: list[Machine] = []

    async def start(factory: Callable[[], Any], **settings: Any) -> Machine:
        one = Machine(tmp_path / str(len(started)), factory, **settings)
        await one.start()
        started.append(one)
        return one

    yield start
    for one in started:
        await one.stop()


@pytest.fixture
def provider() -> Iterator[PracticeProvider]:
    with PracticeProvider.in_thread(lambda request: f"heard: {request.user_message}") as provider:
        yield provider


@pytest.fixture
def client(provider: PracticeProvider) -> Callable[..., OpenAIChatCompletionClient]:
    """Makes model clients as users' factories do."""

    def make(model: str = "gpt-4o-mini", **options: Any) -> OpenAIChatCompletionClient:
        options = {"base_url": provider.base_url, "api_key": "practice", **options}
        return OpenAIChatCompletionClient(model=model, **options)

    return make


class Deeds:
    """What tools did in the world. The call in whose middle the machine is to die waits there."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self._stuck: set[str] = set()
        self._reached = asyncio.Event()

    def get_stuck_in(self, *deeds: str) -> None:
        self._stuck.update(deeds)

    async def stuck(self) -> None:
        """Return when a call got stuck; the next one like it will not."""
        await asyncio.wait_for(self._reached.wait(), PATIENCE)
        self._reached.clear()

    async def do(self, deed: str) -> str:
        self.begun.append(deed)
        if deed in self._stuck:
            self._stuck.remove(deed)
            self._reached.set()
            await asyncio.Event().wait()
        self.done.append(deed)
        return f"done {deed}"


@pytest.fixture
def deeds(anyio_backend: str) -> Deeds:
    return Deeds()


@pytest.fixture
def actor(client: Any, deeds: Deeds) -> Callable[..., AssistantAgent]:
    """Makes an agent with the tool `act`."""

    def make(name: str = "actor", **options: Any) -> AssistantAgent:
        async def act(deed: str) -> str:
            """Do something."""
            return await deeds.do(deed)

        options = {"system_message": name, "description": f"the {name}", "max_tool_iterations": 9, **options}
        return AssistantAgent(name, client(), tools=[act], **options)

    return make
