"""A real server on a free port over a real engine; its worker follows scripts instead of running agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from openai import AsyncOpenAI

from turnlane.runtime.agent import ActiveRuns
from turnlane.runtime.app import AgentSettings, AgentSpec
from turnlane.runtime.conversation import (
    EVENTS_PER_ATTEMPT,
    Claim,
    Failure,
    JsonObject,
    Outcome,
    SavedState,
    Status,
    StopAsk,
    TurnEvent,
    Usage,
)
from turnlane.runtime.engine import Engine, OwnershipLost
from turnlane.runtime.intake import Intake
from turnlane.server import ApiKeys, Readiness, ServerSettings, create_app

from .engines import OpenEngine, embedded, postgresql

Script = Callable[["Attempt"], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Failed(Exception):
    """Ends a scripted attempt with this failure."""

    def __init__(self, failure: Failure, status: Status = "failed") -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.status = status


class Attempt:
    """What a script works with: it shows events, and its output is made of them."""

    def __init__(self, claim: Claim, engine: Engine, signals: Signals) -> None:
        self.claim = claim
        self.agent = claim.turn.agent
        self.signals = signals
        self.output: list[JsonObject] = []
        self.incomplete: str | None = None
        self._engine = engine
        self._seq = claim.first_seq - 1
        self._items = 0

    @property
    def text(self) -> str:
        """The text of the input, joined."""
        texts = []
        for item in self.claim.turn.input:
            parts = item.get("content") or [{"text": item.get("output", "")}]
            texts += [part.get("text", "") for part in parts]
        return " ".join(texts)

    def new_item(self) -> str:
        self._items += 1
        return f"{self.claim.turn.id.partition('_')[2]}{self.claim.attempt:02x}{self._items:04x}"

    def event(self, kind: str, **data: Any) -> TurnEvent:
        self._seq += 1
        assert self._seq < self.claim.attempt * EVENTS_PER_ATTEMPT
        return TurnEvent(self._seq, kind, time.time(), data)

    async def emit(self, kind: str, **data: Any) -> None:
        await self._engine.publish(self.claim, [self.event(kind, **data)])

    async def say(self, text: str, *, pieces: Sequence[str] = (), agent: str | None = None, **more: Any) -> None:
        who, item = agent or self.agent, self.new_item()
        for piece in pieces:
            await self.emit("text.delta", item=item, agent=who, text=piece)
        data = {"item": item, "agent": who, "text": text, "phase": "final_answer", "incomplete": None, **more}
        data.setdefault("structured", None)
        self.output.append({"type": "message", **data})
        await self.emit("message", **data)

    async def think(self, text: str, *, pieces: Sequence[str] = ()) -> None:
        item = self.new_item()
        for piece in pieces:
            await self.emit("reasoning.delta", item=item, agent=self.agent, text=piece)
        data = {"item": item, "agent": self.agent, "text": text}
        self.output.append({"type": "reasoning", **data})
        await self.emit("reasoning", **data)

    async def use_tool(self, name: str, output: str | None, error: JsonObject | None = None) -> None:
        call = {"item": self.new_item(), "agent": self.agent, "call": "call_1", "name": name}
        await self.emit("tool.call", **call, arguments='{"order": "7"}')
        await self.emit("tool.result", **call, output=output, error=error)
        self.output.append(
            {"type": "tool", **call, "arguments": '{"order": "7"}', "output": output, "error": error}
        )

    async def ask(self, prompt: str) -> str:
        item = self.new_item()
        data = {
            "item": item,
            "call": f"call_{item}",
            "agent": self.agent,
            "prompt": prompt,
            "reason": "user_proxy",
        }
        self.output.append({"type": "input.required", **data})
        await self.emit("input.required", **data)
        return data["call"]


@dataclass
class Signals:
    """Named moments, so that tests need no sleeps."""

    events: dict[str, asyncio.Event] = field(default_factory=dict)

    def __getitem__(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())

    async def wait(self, name: str) -> None:
        async with asyncio.timeout(10):
            await self[name].wait()

    def set(self, name: str) -> None:
        self[name].set()


ROLLED_BACK = Failure("RolledBack", "a later message rolled the turn back", "cancelled", code="rolled_back")

STOPPED: Mapping[StopAsk, Outcome] = {
    "cancel": Outcome("cancelled"),
    "interrupt": Outcome("interrupted"),
    "rollback": Outcome("cancelled", failure=ROLLED_BACK),
}


class ScriptedWorker:
    """Implements `turnlane.runtime.engine.Worker`: runs a script per agent."""

    capacity = 100

    def __init__(self, engine: Engine, scripts: Mapping[str, Script], signals: Signals) -> None:
        self.engine = engine
        self.scripts = scripts
        self.signals = signals
        self.tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self.claims: list[Claim] = []
        self.stops: dict[tuple[str, int], StopAsk] = {}
        self.agent_limits: Mapping[str, int | None] = dict.fromkeys(scripts)

    def deliver(self, claim: Claim) -> None:
        self.claims.append(claim)
        task = asyncio.get_running_loop().create_task(self._run(claim))
        self.tasks[claim.turn.id, claim.attempt] = task

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None:
        self.stops[turn_id, attempt] = why
        self.tasks[turn_id, attempt].cancel()

    def lost(self, turn_id: str, attempt: int) -> None:
        self.tasks[turn_id, attempt].cancel()

    async def _run(self, claim: Claim) -> None:
        act = Attempt(claim, self.engine, self.signals)
        try:
            await act.emit("started", attempt=claim.attempt, agent=claim.turn.agent)
            await self.scripts[claim.turn.agent](act)
            outcome = Outcome("incomplete" if act.incomplete else "completed", incomplete=act.incomplete)
        except Failed as failed:
            outcome = Outcome(failed.status, failure=failed.failure)
        except asyncio.CancelledError:
            outcome = STOPPED[self.stops.get((claim.turn.id, claim.attempt), "cancel")]
        except OwnershipLost:
            return
        last = act.event("finished", status=outcome.status)
        outcome = Outcome(
            outcome.status,
            output=[] if outcome.status == "cancelled" else act.output,
            usage=Usage(11, 7, 2, 1),
            failure=outcome.failure,
            incomplete=outcome.incomplete,
            state=SavedState("scripted", "1", {}) if outcome.status in ("completed", "incomplete") else None,
            events=[last],
        )
        try:
            await self.engine.commit(claim, outcome)
        except OwnershipLost:
            return

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


# --- scripts that many tests use ---


async def echo(act: Attempt) -> None:
    await act.say(f"you said: {act.text}")


async def stream(act: Attempt) -> None:
    await act.say("one two three", pieces=["one ", "two ", "three"])


async def everything(act: Attempt) -> None:
    await act.think("hmm, an order", pieces=["hmm, ", "an order"])
    await act.say("Let me look.", pieces=["Let me ", "look."], phase="commentary")
    await act.use_tool("lookup", "shipped")
    await act.use_tool("refund", None, {"type": "KeyError", "hazard": "TL401", "message": "the tool failed"})
    await act.emit("handoff", agent=act.agent, target="billing", text="over to you")
    await act.emit("model.call", agent=act.agent, model="m", input_tokens=1, output_tokens=1, retries=0)
    await act.say("It has shipped.", agent="billing", structured={"state": "shipped"})


async def asks(act: Attempt) -> None:
    if act.claim.turn.input[-1]["type"] == "function_call_output" or "yes" in act.text:
        await act.say(f"thanks for: {act.text}")
    else:
        await act.ask("Are you sure?")


async def hands_over(act: Attempt) -> None:
    """As a handoff to a human: the question is a message too, for clients that only read messages."""
    await act.say("What should I tell them?")
    await act.ask("What should I tell them?")


async def fails(act: Attempt) -> None:
    kind, _, code = act.text.partition(" ")
    raise Failed(
        Failure(
            type="KeyError",
            message="the tool lookup failed",
            kind=kind or "tool",  # type: ignore[arg-type]
            code=code or "tool_error",
            hazard="TL401",
            agent="support",
            tool="lookup",
            stack="Traceback: secret dsn",
        )
    )


async def private(act: Attempt) -> None:
    raise Failed(Failure("ValueError", "no such row: dsn=postgres://secret", "agent", private=True))


async def cut(act: Attempt) -> None:
    act.incomplete = "max_output_tokens"
    await act.say("half an ans", incomplete="max_output_tokens")


async def waits(act: Attempt) -> None:
    await act.emit("text.delta", item=act.new_item(), agent=act.agent, text="wait")
    act.signals.set("waiting")
    await act.signals.wait("go")
    act.output.clear()
    act._items = 0
    await act.say("waited")


async def talks(act: Attempt) -> None:
    """Says half of its answer, and the rest when it is told to go on."""
    half = {"item": act.new_item(), "agent": act.agent, "text": "half an "}
    await act.emit("text.delta", **half)
    act.output.append(
        {"type": "message", **half, "phase": "commentary", "incomplete": "interrupted", "structured": None}
    )
    act.signals.set(f"talking {act.text}")
    await act.signals.wait(f"go {act.text}")
    act.output.clear()
    act._items = 0
    await act.say("half an answer", pieces=[])


async def needs_attention(act: Attempt) -> None:
    raise Failed(
        Failure(
            type="UnknownOutcome",
            message="the tool charge_card was called, and whether it ran is not known",
            kind="tool",
            code="needs_attention",
            tool="charge_card",
        ),
        "needs_attention",
    )


SCRIPTS: Mapping[str, Script] = {
    "echo": echo,
    "stream": stream,
    "everything": everything,
    "asks": asks,
    "hands_over": hands_over,
    "fails": fails,
    "private": private,
    "cut": cut,
    "waits": waits,
    "talks": talks,
    "needs_attention": needs_attention,
}


@dataclass
class Served:
    """A running server and what is behind it."""

    url: str
    engine: Engine
    intake: Intake
    worker: ScriptedWorker
    signals: Signals
    stack: AsyncExitStack

    def openai(self, key: str = "unused", **options: Any) -> AsyncOpenAI:
        options.setdefault("max_retries", 0)
        options.setdefault("_strict_response_validation", True)
        client = AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, **options)
        self.stack.push_async_callback(client.close)
        return client

    def http(self, key: str | None = None) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=20)
        self.stack.push_async_callback(client.aclose)
        return client


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture(scope="session", params=["embedded", "postgresql"])
def open_engine(request: pytest.FixtureRequest) -> OpenEngine:
    """Every test with a server runs on every engine."""
    if request.param == "embedded":
        return embedded
    from turnlane.testing.postgres_server import NEWEST

    return postgresql(request.getfixturevalue("postgres_servers")(NEWEST))


@pytest.fixture
async def serve(tmp_path: Path, open_engine: OpenEngine) -> AsyncIterator[Serve]:
    """Start servers: `await serve(scripts={...}, keys=ApiKeys(...), ...)`."""
    async with AsyncExitStack() as stack:
        numbers = iter(range(100))

        async def start(**options: Any) -> Served:
            folder = tmp_path / f"data{next(numbers)}"
            engine = await stack.enter_async_context(open_engine(folder, options.pop("bounds", None)))
            return await stack.enter_async_context(_served(engine, **options))

        yield start


@pytest.fixture
async def serve_with() -> AsyncIterator[Serve]:
    """Start servers over engines of the test's own: `await serve_with(engine, keys=ApiKeys(...), ...)`."""
    async with AsyncExitStack() as stack:

        async def start(engine: Engine, **options: Any) -> Served:
            return await stack.enter_async_context(_served(engine, **options))

        yield start


@pytest.fixture(scope="session")
def serve_in(open_engine: OpenEngine) -> Any:
    """`async with serve_in(folder, ...) as served`, for tests with a loop of their own."""

    @asynccontextmanager
    async def start(folder: Path, **options: Any) -> AsyncIterator[Served]:
        async with open_engine(folder, None) as engine, _served(engine, **options) as served:
            yield served

    return start


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server with all scripts, without keys."""
    return await serve()


@pytest.fixture
def client(served: Served) -> AsyncOpenAI:
    return served.openai()


@asynccontextmanager
async def _served(
    engine: Engine,
    *,
    scripts: Mapping[str, Script] = SCRIPTS,
    keys: ApiKeys | None = None,
    agent_settings: Mapping[str, AgentSettings] | None = None,
    ready: Callable[[], Readiness] = lambda: Readiness(True),
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    attach: bool = True,
    wrap: Callable[[Any], Any] = lambda app: app,
    **settings: Any,
) -> AsyncIterator[Served]:
    signals = Signals()
    worker = ScriptedWorker(engine, scripts, signals)
    agents = {
        name: AgentSpec(name, lambda: None, (agent_settings or {}).get(name, AgentSettings())) for name in scripts
    }
    intake = Intake(engine, agents, ActiveRuns())
    app = create_app(intake, keys=keys, settings=ServerSettings(**settings), ready=ready, metrics=metrics)
    config = uvicorn.Config(wrap(app), port=0, log_config=None, lifespan="off", http="httptools", ws="none")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    if attach:
        await engine.attach(worker)
    async with AsyncExitStack() as stack:
        # Not `serve`: it looks ten times a second whether it should stop, and every test would wait for that.
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield Served(f"http://127.0.0.1:{port}", engine, intake, worker, signals, stack)
        finally:
            await stack.aclose()
            await engine.detach(worker)
            await worker.close()
            # Not `shutdown`, which sleeps; the clients have gone already.
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
