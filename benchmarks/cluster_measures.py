"""The measurements of the cluster's benchmark: each makes a site on an empty store and tells its figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles
from typing import Final, TypeAlias

from cluster_site import Burst, Site, at_work, first_turn, front_end, overlaps, started, stopped, turn, working
from stores import Store
from turnlane.runtime.conversation import NewTurn, Turn, new_id

Figures: TypeAlias = dict[str, float]
Measure: TypeAlias = Callable[[Store, int], Awaitable[Figures]]
"""Measures a store with a number of worker processes; 0: the worker runs in the measuring process."""

BATCH: Final = 500
"""Turns that are sent together when a queue is filled."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    turns: int = 500
    """Turns of one client, one after the other."""
    burst: int = 20_000
    """Turns of many clients together."""
    clients: int = 500
    lane: int = 200
    """Turns that wait in one lane."""
    lanes: int = 100
    sleeps: Sequence[tuple[int, float]] = ((1_000, 1.0), (5_000, 5.0))
    """Conversations with one turn each, and how long it sleeps."""
    stored: Sequence[int] = (10, 1_000, 100_000, 1_000_000)
    queued: Sequence[int] = (10, 1_000, 10_000, 100_000)
    seconds: float = 5.0
    """For how long a queue is kept full, events flow, and nothing happens."""
    streams: int = 100
    events: int = 100
    """Events a second of each stream."""
    state: int = 50_000
    """Bytes of a large state."""


QUICK: Final = Size(
    turns=4,
    burst=20,
    clients=5,
    lane=5,
    lanes=3,
    sleeps=((5, 0.05),),
    stored=(10, 30),
    queued=(10, 20),
    seconds=0.3,
    streams=2,
    events=10,
    state=1_000,
)


def percentiles(name: str, seconds: Sequence[float]) -> Figures:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {f"{name} p50 ms": cuts[49] * 1e3, f"{name} p99 ms": cuts[98] * 1e3}


def latency(size: Size, clients: int) -> Measure:
    """A few clients: what a turn waits for when nothing is in its way."""

    async def measure(store: Store, workers: int) -> Figures:
        async with at_work(store, workers) as site:
            burst = Burst(site)
            await burst.run(clients, size.turns // clients or 2)
            return {
                **percentiles("accepted", burst.accepted),
                **percentiles("to start", burst.to_start),
                **percentiles("to result", burst.to_result),
                **_rates(burst),
            }

    return measure


def throughput(size: Size, *, state: int = 0) -> Measure:
    """Many clients: how much fits, and what it costs."""

    async def measure(store: Store, workers: int) -> Figures:
        async with at_work(store, workers) as site:
            burst = Burst(site, options={"state": state} if state else {})
            before, logged = store.size(), store.logged()
            await burst.run(size.clients, size.burst // size.clients)
            grown, logged = store.size() - before, store.logged() - logged
            return {
                **_rates(burst),
                **percentiles("to result", burst.to_result),
                "disk KB a turn": grown / burst.turns / 1e3,
                **({"write-ahead log KB a turn": logged / burst.turns / 1e3} if logged else {}),
            }

    return measure


def _rates(burst: Burst) -> Figures:
    return {
        "turns/s": burst.turns / burst.seconds,
        "CPU ms a turn": burst.cpu / burst.turns * 1e3,
        "overlaps": burst.overlaps,
    }


def hand_over(turns: int, lanes: int) -> Measure:
    """Lanes full of waiting turns: from the end of a lane's turn to the start of its next."""

    async def measure(store: Store, workers: int) -> Figures:
        async with front_end(store) as site:
            names = [new_id("conv") for _ in range(lanes)]
            sent: list[list[NewTurn]] = [[] for _ in names]
            for number in range(turns):
                row = [turn(name, new=number == 0) for name in names]
                await _send(site, row)
                for lane, new in zip(sent, row, strict=True):
                    lane.append(new)
            async with working(site, workers):
                ended = [await _ends(site, lane) for lane in sent]
        gaps = [started(late) - stopped(early) for lane in ended for early, late in pairwise(lane)]
        return {**percentiles("hand-over", gaps), "overlaps": sum(map(overlaps, ended))}

    return measure


async def _ends(site: Site, lane: Sequence[NewTurn]) -> list[Turn]:
    ended = [await site.engine.wait(new.id) for new in lane]
    return [one for one in ended if one is not None]


def all_at_once(count: int, seconds: float) -> Measure:
    """One turn in each conversation, all sent together."""

    async def measure(store: Store, workers: int) -> Figures:
        async with at_work(store, workers, capacity=count + workers) as site:
            news = [first_turn(seconds=seconds) for _ in range(count)]
            began, cpu = time.perf_counter(), site.cpu()
            await _send(site, news)
            await asyncio.gather(*(site.engine.wait(new.id) for new in news))
            taken, cpu = time.perf_counter() - began, site.cpu() - cpu
        return {"seconds": taken, "beyond the sleep s": taken - seconds, "CPU ms a turn": cpu / count * 1e3}

    return measure


def stored(size: Size, count: int) -> Measure:
    """The same turns beside `count` conversations that are at rest."""

    async def measure(store: Store, workers: int) -> Figures:
        async with front_end(store) as site, working(site, 0):
            await Burst(site).run(1, 1)
        before = store.size()
        store.multiply(count)
        grown = (store.size() - before) / count / 1e3
        async with at_work(store, workers) as site:
            alone, many = Burst(site), Burst(site)
            await alone.run(1, size.turns // 2)
            await many.run(size.clients, max(1, size.burst // size.clients // 2))
        return {**percentiles("to result", alone.to_result), **_rates(many), "disk KB a conversation": grown}

    return measure


def queued(size: Size, depth: int) -> Measure:
    """Turns while `depth` others wait: each that ends is followed by a new one in a new conversation."""

    async def measure(store: Store, workers: int) -> Figures:
        async with front_end(store) as site:
            for start in range(0, depth, BATCH):
                await _send(site, [first_turn() for _ in range(min(BATCH, depth - start))])
            async with working(site, workers, capacity=100):
                done = await site.committed()
                began, cpu, sent = time.perf_counter(), site.cpu(), done
                while time.perf_counter() - began < size.seconds:
                    await asyncio.sleep(0.005)
                    now = await site.committed()
                    await _send(site, [first_turn() for _ in range(now - sent)])
                    sent = now
                seconds, cpu = time.perf_counter() - began, site.cpu() - cpu
                ended = max(1, sent - done)
        return {"turns/s": ended / seconds, "CPU ms a turn": cpu / ended * 1e3}

    return measure


async def _send(site: Site, news: Sequence[NewTurn]) -> None:
    await asyncio.gather(*map(site.engine.accept, news))


def streaming(size: Size) -> Measure:
    """Turns that publish one event at a time, each with a reader at the front end."""

    async def measure(store: Store, workers: int) -> Figures:
        each = max(2, int(size.events * size.seconds))
        news = [first_turn(events=each, pause=1 / size.events) for _ in range(size.streams)]
        delays: list[float] = []

        async def read(site: Site, turn_id: str) -> None:
            async for event in site.engine.events(turn_id):
                if event.kind == "text.delta":
                    delays.append(time.perf_counter() - event.at)

        async with at_work(store, workers) as site:
            began, cpu = time.perf_counter(), site.cpu()
            await _send(site, news)
            await asyncio.gather(*(read(site, new.id) for new in news))
            seconds, cpu = time.perf_counter() - began, site.cpu() - cpu
        lost = each * size.streams - len(delays)
        return {
            "events/s": len(delays) / seconds,
            **percentiles("publish to reader", delays),
            "CPU ms an event": cpu / len(delays) * 1e3,
            "lost": lost,
        }

    return measure


def idle(size: Size) -> Measure:
    """Nobody asks for anything."""

    async def measure(store: Store, workers: int) -> Figures:
        async with at_work(store, workers) as site:
            await asyncio.sleep(min(2.0, size.seconds))  # what follows the start is over
            before, own, began = site.cpu(), store.cpu(), time.perf_counter()
            await asyncio.sleep(2 * size.seconds)
            seconds = time.perf_counter() - began
            share, of_store = (site.cpu() - before) / seconds, (store.cpu() - own) / seconds
            connections = store.connections()
        return {
            "% of a core, all processes": 100 * share,
            "% of a core, store": 100 * of_store,
            "connections": connections,
        }

    return measure


def measures(size: Size) -> dict[str, Measure]:
    """Every measurement, by its name."""
    return {
        "1 client": latency(size, 1),
        "10 clients": latency(size, 10),
        f"{size.clients} clients": throughput(size),
        f"{size.clients} clients, {size.state // 1000} KB of state": throughput(size, state=size.state),
        f"1 lane, {size.lane} turns": hand_over(size.lane, 1),
        f"{size.lanes} lanes, 20 turns each": hand_over(20, size.lanes),
        **{f"{count:,} x {seconds:g} s": all_at_once(count, seconds) for count, seconds in size.sleeps},
        **{f"{count:,} stored conversations": stored(size, count) for count in size.stored},
        **{f"{depth:,} queued turns": queued(size, depth) for depth in size.queued},
        f"{size.streams} streams x {size.events} events/s": streaming(size),
        "idle": idle(size),
    }
