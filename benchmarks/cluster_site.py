"""A front end with its workers on one store, and turns that are sent to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cluster_worker import AGENT, BenchWorker, WorkerProcess
from processes import cpu_seconds
from stores import Store, engine_of
from turnlane.runtime.conversation import Conversation, NewTurn, Turn, new_id
from turnlane.runtime.engine import Engine


@dataclass
class Site:
    """An open engine that accepts, here, and who runs the turns: worker processes, or one worker here."""

    store: Store
    engine: Engine
    processes: Sequence[WorkerProcess] = ()
    inside: BenchWorker | None = None

    def cpu(self) -> float:
        """Seconds of CPU so far: this process, the workers and the store's own."""
        return time.process_time() + sum(cpu_seconds(one.pid) for one in self.processes) + self.store.cpu()

    async def committed(self) -> int:
        """Turns that the workers have ended."""
        if self.inside is not None:
            return self.inside.committed
        return sum([(await one.counts())["committed"] for one in self.processes])


@asynccontextmanager
async def front_end(store: Store) -> AsyncIterator[Site]:
    """A site that nobody works at yet."""
    engine = engine_of(store.url)
    await engine.open()
    try:
        yield Site(store, engine)
    finally:
        await engine.close()


@asynccontextmanager
async def working(site: Site, workers: int, capacity: int = 1_000) -> AsyncIterator[Site]:
    """`site` with `workers` processes that run turns; 0: this process does."""
    if not workers:
        site.inside = BenchWorker(site.engine, capacity)
        await site.engine.attach(site.inside)
        yield site
        await site.engine.detach(site.inside)
        return
    site.processes = [WorkerProcess(site.store.url, max(1, capacity // workers)) for _ in range(workers)]
    try:
        await asyncio.gather(*(one.ready() for one in site.processes))
        yield site
    finally:
        await asyncio.gather(*(one.close() for one in site.processes))
        site.processes = ()


@asynccontextmanager
async def at_work(store: Store, workers: int, capacity: int = 1_000) -> AsyncIterator[Site]:
    """Both, with what is paid only once already paid."""
    async with front_end(store) as site, working(site, workers, capacity):
        await Burst(site).run(clients=8, turns_each=5)
        yield site


def turn(conversation: str, *, new: bool = False, **options: Any) -> NewTurn:
    """A turn for `BenchWorker`, of a conversation that exists or a new one."""
    message = {"id": new_id("msg"), "type": "message", "role": "user", "content": "hello"}
    made = Conversation(conversation, created_at=time.time()) if new else None
    return NewTurn(
        new_id("resp"),
        conversation,
        AGENT,
        [message],
        options=options,
        create_conversation=made,
        created_at=time.time(),
    )


def first_turn(**options: Any) -> NewTurn:
    return turn(new_id("conv"), new=True, **options)


def started(ended: Turn) -> float:
    at: float = ended.output[0]["started"]
    return at


def stopped(ended: Turn) -> float:
    at: float = ended.output[0]["ended"]
    return at


@dataclass
class Burst:
    """Clients that each wait for the end of their turn before they send the next, and what they saw."""

    site: Site
    options: dict[str, Any] = field(default_factory=dict)
    accepted: list[float] = field(default_factory=list)
    """Seconds from sending to accepted, to the turn's start, and to its result."""
    to_start: list[float] = field(default_factory=list)
    to_result: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    overlaps: int = 0

    async def run(self, clients: int, turns_each: int) -> None:
        began, cpu = time.perf_counter(), self.site.cpu()
        await asyncio.gather(*(self._client(turns_each) for _ in range(clients)))
        self.seconds, self.cpu = time.perf_counter() - began, self.site.cpu() - cpu

    @property
    def turns(self) -> int:
        return len(self.to_result)

    async def _client(self, turns: int) -> None:
        engine, conversation = self.site.engine, new_id("conv")
        ends = []
        for number in range(turns):
            sent = turn(conversation, new=number == 0, **self.options)
            began = time.perf_counter()
            await engine.accept(sent)
            self.accepted.append(time.perf_counter() - began)
            ended = await engine.wait(sent.id)
            assert ended is not None
            self.to_result.append(time.perf_counter() - began)
            self.to_start.append(started(ended) - began)
            ends.append(ended)
        self.overlaps += overlaps(ends)


def overlaps(lane: Sequence[Turn]) -> int:
    """Turns of a lane that started before the one before had ended."""
    return sum(started(late) < stopped(early) for early, late in pairwise(lane))
