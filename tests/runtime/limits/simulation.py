"""Providers of many kinds, and workers that call them, on a loop with virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from turnlane.practice import Budget
from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import Claim, Failure, Turn
from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.shared_limits import PostgresSharedLimits
from turnlane.runtime.limits import AdaptiveLimit, ProviderLimits
from turnlane.runtime.model import Inspected, ModelBoundary
from turnlane.runtime.retry import Fault, classify


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


class MemorySql:
    """A database as the shared limits see it, in memory: as far away, and at times gone, silent, or deaf."""

    def __init__(self, loop: VirtualTime, latency: float = 0.001) -> None:
        self._loop = loop
        self.latency = latency
        self.broken = False
        self.silent = False
        self.deaf = False
        """Nobody hears what is announced."""
        self.rows: dict[str, tuple[int, str]] = {}
        self.clock_ahead = 1_700_000_000.0
        self.round_trips: list[float] = []
        self._subscribed: list[Callable[[str], None]] = []

    async def _round_trip(self) -> None:
        self.round_trips.append(self._loop.time())
        while self.silent:
            await asyncio.sleep(0.1)
        await asyncio.sleep(self.latency / 2)
        if self.broken:
            raise EngineUnavailable("the store is gone")

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        await self._round_trip()
        answer = self._run(sql.split()[0], *args)
        await asyncio.sleep(self.latency / 2)
        return answer

    def _run(self, verb: str, provider: str, state: str = "", version: int | None = None) -> list[dict[str, Any]]:
        found, text = self.rows.get(provider, (None, None))
        if verb == "SELECT":
            return [{"version": found, "state": text, "now": self._loop.time() + self.clock_ahead}]
        if found != version:
            return []
        self.rows[provider] = ((found or 0) + 1, state)
        return [{"version": self.rows[provider][0]}]

    async def notify(self, channel: str, payload: str) -> None:
        await self._round_trip()
        if not self.deaf:
            for hear in list(self._subscribed):
                self._loop.call_later(self.latency / 2, hear, payload)

    def subscribe(self, channel: str, callback: Callable[[str], None]) -> Callable[[], None]:
        self._subscribed.append(callback)
        return lambda: self._subscribed.remove(callback)


class Cluster:
    """Workers of one provider; each with a boundary of its own, all sharing one store."""

    def __init__(
        self, provider: Simulation, workers: int, *, limits: ProviderLimits | None = None, latency: float = 0.001
    ) -> None:
        self.provider = provider
        self.loop = provider.loop
        self.sql = MemorySql(self.loop, latency)
        self.limits = {"simulated": limits} if limits is not None else {}
        self.boundaries = [self.new_worker() for _ in range(workers)]
        self.sent: list[float] = []

    def new_worker(self) -> ModelBoundary:
        return ModelBoundary(
            limits=self.limits,
            shared=PostgresSharedLimits(self.sql),
            clock=self.loop.time,
            jitter=random.Random(1).random,
        )

    async def call(self, boundary: ModelBoundary, send: Callable[[], Awaitable[Any]] | None = None) -> Any:
        async def counted() -> Any:
            self.sent.append(self.loop.time())
            return await (send or self.provider.send)()

        return await boundary.call(new_run(boundary), Client(), counted)

    async def calls(self, number: int) -> list[Any]:
        """So many calls at once, dealt out to the workers in turn."""
        workers = self.boundaries
        return await asyncio.gather(*(self.call(workers[n % len(workers)]) for n in range(number)))

    def burst_of(self, calls: int) -> float:
        """Make that many calls at once; returns how long they took."""
        start = self.loop.time()
        self.loop.run_until_complete(self.calls(calls))
        return self.loop.time() - start


def most_within(times: list[float], seconds: float) -> int:
    """The most of these moments that lie in any window of so many seconds."""
    times = sorted(times)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
