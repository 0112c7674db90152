"""What the embedded engine costs: `python benchmarks/engine.py [--json FILE] [--folder FOLDER]`.

No agents and no HTTP: a turn is accepted, delivered to a worker that does nothing, and committed with a state
and an event. The folder should be on the disk that is to be measured: every commit is synchronised to it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

from turnlane.runtime.conversation import (
    Claim,
    Conversation,
    NewTurn,
    Outcome,
    SavedState,
    StopAsk,
    TurnEvent,
    new_id,
)
from turnlane.runtime.engines.embedded import EmbeddedEngine

Figures = dict[str, float]


class NoOpWorker:
    """Commits what it gets, after `seconds` of sleep."""

    agent_limits = {"no-op": None}  # noqa: RUF012

    def __init__(self, engine: EmbeddedEngine, *, capacity: int = 1_000, seconds: float = 0.0) -> None:
        self.capacity = capacity
        self.delivered: dict[str, float] = {}
        self._engine = engine
        self._seconds = seconds
        self._running: set[asyncio.Task[None]] = set()

    def deliver(self, claim: Claim) -> None:
        self.delivered[claim.turn.id] = time.perf_counter()
        task = asyncio.ensure_future(self._run(claim))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None: ...

    def lost(self, turn_id: str, attempt: int) -> None: ...

    async def _run(self, claim: Claim) -> None:
        if self._seconds:
            await asyncio.sleep(self._seconds)
        finished = TurnEvent(claim.first_seq, "finished", time.time(), {"status": "completed"})
        state = SavedState("no-op", "1", {"turn": claim.turn.id})
        answer = {"type": "message", "text": "done"}
        await self._engine.commit(claim, Outcome("completed", output=[answer], state=state, events=[finished]))


def turn(conversation: str, *, new: bool = False) -> NewTurn:
    message = {"type": "message", "role": "user", "content": "hello"}
    made = Conversation(conversation) if new else None
    return NewTurn(new_id("resp"), conversation, "no-op", [message], create_conversation=made)


def percentiles(name: str, seconds: list[float]) -> Figures:
    cuts = quantiles(seconds, n=100)
    return {f"{name} p50 ms": cuts[49] * 1e3, f"{name} p99 ms": cuts[98] * 1e3}


async def throughput(folder: Path, clients: int, turns_each: int) -> Figures:
    """Clients that each wait for their turn's end before they send the next."""
    engine = EmbeddedEngine(folder)
    await engine.open()
    worker = NoOpWorker(engine)
    await engine.attach(worker)
    to_deliver: list[float] = []
    to_result: list[float] = []

    async def client() -> None:
        conversation = new_id("conv")
        for i in range(turns_each):
            new = turn(conversation, new=i == 0)
            begun = time.perf_counter()
            await engine.accept(new)
            await engine.wait(new.id)
            to_result.append(time.perf_counter() - begun)
            to_deliver.append(worker.delivered.pop(new.id) - begun)

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    turns = clients * turns_each
    batch = engine._writer.operations / engine._writer.commits
    await engine.close()
    return {
        "turns/s": turns / seconds,
        "CPU ms a turn": cpu / turns * 1e3,
        **percentiles("accept to deliver", to_deliver),
        **percentiles("accept to result", to_result),
        "calls a commit": batch,
    }


async def all_at_once(folder: Path, conversations: int, seconds: float) -> Figures:
    """One turn in each conversation, all sent together, each lasting `seconds`."""
    engine = EmbeddedEngine(folder)
    await engine.open()
    await engine.attach(NoOpWorker(engine, capacity=conversations, seconds=seconds))
    news = [turn(new_id("conv"), new=True) for _ in range(conversations)]
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(engine.accept, news))
    await asyncio.gather(*(engine.wait(new.id) for new in news))
    taken, cpu = time.perf_counter() - begun, time.process_time() - cpu
    await engine.close()
    return {"seconds": taken, "CPU ms a turn": cpu / conversations * 1e3}


async def hand_over(folder: Path, turns: int) -> Figures:
    """From the end of a lane's turn to the start of its next, with all turns waiting."""
    engine = EmbeddedEngine(folder)
    await engine.open()
    conversation = new_id("conv")
    news = [turn(conversation, new=i == 0) for i in range(turns)]
    for new in news:
        await engine.accept(new)
    worker = NoOpWorker(engine)
    await engine.attach(worker)
    await engine.wait(news[-1].id)
    times = [worker.delivered[new.id] for new in news]
    await engine.close()
    return percentiles("hand-over", [late - early for early, late in pairwise(times)])


async def streaming(folder: Path, turns: int, events_each: int) -> Figures:
    """Turns that publish one event at a time, each with one reader."""
    engine = EmbeddedEngine(folder)
    await engine.open()
    worker = NoOpWorker(engine)
    claims: asyncio.Queue[Claim] = asyncio.Queue()
    worker.deliver = claims.put_nowait  # type: ignore[method-assign,assignment]
    await engine.attach(worker)
    delays: list[float] = []

    async def read(turn_id: str) -> None:
        async for event in engine.events(turn_id):
            delays.append(time.perf_counter() - event.at)

    async def write(claim: Claim) -> None:
        for i in range(events_each):
            data = {"text": "piece of text "}
            event = TurnEvent(claim.first_seq + i, "text.delta", time.perf_counter(), data)
            await engine.publish(claim, [event])
            await asyncio.sleep(0)
        await engine.commit(claim, Outcome("completed"))

    news = [turn(new_id("conv"), new=True) for _ in range(turns)]
    await asyncio.gather(*map(engine.accept, news))
    begun, cpu = time.perf_counter(), time.process_time()
    readers = [asyncio.ensure_future(read(new.id)) for new in news]
    await asyncio.gather(*[write(await claims.get()) for _ in news], *readers)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    await engine.close()
    total = turns * events_each
    return {
        "events/s": total / seconds,
        "CPU ms an event": cpu / total * 1e3,
        **percentiles("publish to reader", delays),
    }


async def stored(folder: Path, conversations: int) -> Figures:
    """Memory and speed with many conversations at rest."""
    engine = EmbeddedEngine(folder)
    await engine.open()
    worker = NoOpWorker(engine)
    await engine.attach(worker)
    before = resident()
    for start in range(0, conversations, 1_000):
        news = [turn(new_id("conv"), new=True) for _ in range(min(1_000, conversations - start))]
        await asyncio.gather(*map(engine.accept, news))
        await asyncio.gather(*(engine.wait(new.id) for new in news))
        worker.delivered.clear()
    grown = resident() - before
    await engine.close()
    begun = time.perf_counter()
    again = EmbeddedEngine(folder)
    await again.open()
    opened = time.perf_counter() - begun
    await again.close()
    return {"grown MB": grown / 2**20, "open ms": opened * 1e3, "database MB": size(folder) / 2**20}


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


Measure = Callable[[Path], Awaitable[Figures]]

MEASURES: dict[str, Measure] = {
    "1 client": lambda folder: throughput(folder, 1, 1_000),
    "10 clients": lambda folder: throughput(folder, 10, 500),
    "100 clients": lambda folder: throughput(folder, 100, 200),
    "500 clients": lambda folder: throughput(folder, 500, 40),
    "1,000 conversations x 1 s": lambda folder: all_at_once(folder, 1_000, 1.0),
    "one lane, 20 turns": lambda folder: hand_over(folder, 20),
    "100 streams x 500 events": lambda folder: streaming(folder, 100, 500),
    "100,000 stored conversations": lambda folder: stored(folder, 100_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="where to put the data folders (default: the system's)")
    parser.add_argument("--only", help="only the measurements whose name contains this")
    arguments = parser.parse_args()
    chosen = {name: run for name, run in MEASURES.items() if (arguments.only or "") in name}
    figures: dict[str, Figures] = {}
    for name, run in chosen.items():
        with tempfile.TemporaryDirectory(prefix="turnlane-bench-", dir=arguments.folder) as folder:
            figures[name] = asyncio.run(run(Path(folder) / "data"))  # type: ignore[arg-type]
        print_row(name, figures[name])
    if arguments.json:
        report: dict[str, Any] = {"machine": machine(), "figures": figures}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def print_row(name: str, figures: Figures) -> None:
    print(f"{name:30}", "  ".join(f"{key}: {value:,.3g}" for key, value in figures.items()), flush=True)


def machine() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
