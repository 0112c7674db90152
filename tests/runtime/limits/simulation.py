"""Providers of many kinds, and workers that call them, on a loop with virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from turnlane.practice import Budget
from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import Claim, Failure, Turn
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.shared_limits import PostgresSharedLimits
from turnlane.runtime.limits import AdaptiveLimit, ProviderLimits
from turnlane.runtime.model import Inspected, ModelBoundary
from turnlane.runtime.retry import Fault, classify

T = TypeVar("T")


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer as soon as nothing else is to do."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self.now


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing will ever wake them"
            self._loop.now += max(0.0, timeout)
        return ready


class Refusal(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind)
        self.fault = fault


class Client:
    provider = "simulated"
    model = "m"

    def fault(self, error: Exception) -> Fault:
        return error.fault if isinstance(error, Refusal) else Fault("deterministic")

    def failure(self, error: Exception, fault: Fault) -> Failure:
        return Failure(type(error).__name__, str(error), kind="provider")

    def inspect(self, result: object) -> Inspected:
        return Inspected(input_tokens=result if isinstance(result, int) else 0)

    def answered(self, result: object) -> None:
        pass

    def to_json(self, result: object) -> object:
        return result

    def from_json(self, kept: object) -> object:
        return kept


def new_run(boundary: ModelBoundary, deadline: float | None = None) -> Run:
    turn = Turn(
        id="resp_1",
        conversation="conv_1",
        agent="a",
        key="",
        position=0,
        status="running",
        attempt=1,
        input=(),
    )
    return Run(Claim(turn, None), "a", lambda event: None, boundary, deadline=deadline)


@dataclass
class Simulation:
    """Calls through a boundary to a provider with a bucket of requests, on virtual time."""

    rate: float = math.inf
    burst: int = 1
    latency: float = 0.05
    refusal_latency: float = 0.005
    show_headers: bool = True
    retry_after: bool = True
    answers: list[float] = field(default_factory=list)
    refused: int = 0
    running: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self.loop = VirtualTime()
        self.boundary = ModelBoundary(clock=self.loop.time, jitter=random.Random(1).random)
        self._bucket = Budget(self.rate, self.burst, clock=self.loop.time) if self.rate < math.inf else None

    @property
    def limit(self) -> AdaptiveLimit:
        return self.boundary.provider("simulated").limit

    async def send(self) -> str:
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.refusal_latency)
            self._refuse()
            await asyncio.sleep(self.latency)
        finally:
            self.running -= 1
        self.answers.append(self.loop.time())
        return "answer"

    def _refuse(self) -> None:
        grant = self._bucket.take() if self._bucket else None
        if grant is None or grant.allowed:
            return
        self.refused += 1
        hidden = ("retry",) * (not self.retry_after) + ("x-",) * (not self.show_headers)
        headers = {name.decode(): value.decode() for name, value in grant.headers()}
        shown = {name: value for name, value in headers.items() if not name.startswith(hidden)}
        raise Refusal(classify(429, "rate_limit_exceeded", shown))

    def burst_of(self, calls: int) -> float:
        """Make that many calls at once; returns how long they took."""
        start = self.loop.time()

        async def all_calls() -> None:
            call = self.boundary.call
            await asyncio.gather(*(call(new_run(self.boundary), Client(), self.send) for _ in range(calls)))

        self.loop.run_until_complete(all_calls())
        return self.loop.time() - start


class Database:
    """What `PostgresSharedLimits` needs of a database, in memory."""

    def __init__(self, loop: VirtualTime) -> None:
        self.loop = loop
        self.rows: dict[str, tuple[int, str]] = {}
        self.ahead = 1_700_000_000.0
        """Seconds by which its clock is ahead of the loop's."""
        self.round_trips: list[float] = []
        self.subscribed: list[Callable[[str], None]] = []

    def run(self, verb: str, provider: str, state: str = "", version: int | None = None) -> list[dict[str, Any]]:
        found, text = self.rows.get(provider, (None, None))
        if verb == "SELECT":
            return [{"version": found, "state": text, "now": self.loop.time() + self.ahead}]
        if found != version:
            return []
        self.rows[provider] = ((found or 0) + 1, state)
        return [{"version": self.rows[provider][0]}]


class Line:
    """One worker's line to the database. It may be cut (errors), fall silent, or go deaf."""

    def __init__(self, database: Database, latency: float) -> None:
        self._database = database
        self._latency = latency
        self.cut = False
        self.silent = False
        self.deaf = False
        """It hears no announcement."""

    async def _there(self) -> None:
        self._database.round_trips.append(self._database.loop.time())
        await asyncio.sleep(self._latency / 2)
        if self.cut:
            raise EngineUnavailable("the database is gone")
        if self.silent:
            await asyncio.Event().wait()

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        await self._there()
        answer = self._database.run(sql.split()[0], *args)
        await asyncio.sleep(self._latency / 2)
        return answer

    async def notify(self, channel: str, payload: str) -> None:
        await self._there()
        for hear in list(self._database.subscribed):
            self._database.loop.call_later(self._latency / 2, hear, payload)

    def subscribe(self, channel: str, callback: Callable[[str], None]) -> Callable[[], None]:
        def hear(payload: str) -> None:
            if not (self.deaf or self.silent or self.cut):
                callback(payload)

        self._database.subscribed.append(hear)
        return lambda: self._database.subscribed.remove(hear)


class Worker:
    """A process of its own, but for the loop: a boundary and a line to the database."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self._cluster = cluster
        self.line = Line(cluster.database, cluster.latency)
        self.boundary = ModelBoundary(
            limits=cluster.limits,
            shared=PostgresSharedLimits(self.line),
            clock=cluster.loop.time,
            jitter=random.Random(number).random,
        )
        self.sent: list[float] = []
        self.calls: list[asyncio.Task[Any]] = []

    async def _call(self, send: Callable[[], Awaitable[Any]] | None) -> Any:
        async def counted() -> Any:
            self.sent.append(self._cluster.loop.time())
            return await (send or self._cluster.provider.send)()

        return await self.boundary.call(new_run(self.boundary), Client(), counted)

    def call(self, send: Callable[[], Awaitable[Any]] | None = None) -> asyncio.Task[Any]:
        self.calls.append(asyncio.ensure_future(self._call(send)))
        return self.calls[-1]

    async def die(self) -> None:
        """As by kill -9: what it did ends, and nobody hears of it again."""
        self.line.silent = True
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)


class Cluster:
    """Workers that call one provider and share its limits."""

    def __init__(
        self, provider: Simulation, workers: int, *, limits: ProviderLimits | None = None, latency: float = 0.001
    ) -> None:
        self.provider = provider
        self.loop = provider.loop
        self.latency = latency
        self.database = Database(self.loop)
        self.limits = {"simulated": limits} if limits is not None else {}
        self.workers: list[Worker] = []
        for _ in range(workers):
            self.new_worker()

    def new_worker(self) -> Worker:
        self.workers.append(Worker(self, len(self.workers)))
        return self.workers[-1]

    @property
    def sent(self) -> list[float]:
        return sorted(time for worker in self.workers for time in worker.sent)

    @property
    def exchanges(self) -> int:
        """Changes of the state of a provider until now."""
        return sum(version for version, _ in self.database.rows.values())

    async def calls(self, number: int) -> list[Any]:
        """So many calls at once, dealt out to the workers in turn."""
        return await asyncio.gather(*(self.workers[n % len(self.workers)].call() for n in range(number)))

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(awaitable)

    def burst_of(self, calls: int) -> float:
        """Make that many calls at once; returns how long they took."""
        start = self.loop.time()
        self.run(self.calls(calls))
        return self.loop.time() - start

    def close(self) -> None:
        """End all workers; nothing of them may be left."""

        async def close_all() -> None:
            for worker in self.workers:
                for call in worker.calls:
                    call.cancel()
                await asyncio.gather(*worker.calls, return_exceptions=True)
            await asyncio.gather(*(worker.boundary.close() for worker in self.workers))
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, "something is left behind"

        self.run(close_all())
        self.loop.close()


def most_within(times: list[float], seconds: float) -> int:
    """The most of these moments that lie in any window of so many seconds."""
    times = sorted(times)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
