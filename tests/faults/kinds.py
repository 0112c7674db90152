"""The kinds of faults: what is done, for how long, and what the history has to know of it.

Each is done to a running system and undone by itself; it returns when the system was whole again (a killed process
is whole when it was killed: nothing but the system mends that).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeAlias

import anyio
from tests.faults import clock
from tests.faults.processes import Program
from tests.faults.systems import GRACE, LEASE, Cluster, Embedded, System

from turnlane.testing.tcp_proxy import Directions, TcpProxy

Strike: TypeAlias = Callable[[Random], Awaitable[float]]

WAKES: Final = LEASE / 3 + 0.5
"""Seconds after which an owner that woke knows that it was replaced: its next heartbeat is refused."""

JUMP: Final = 3600.0
"""Seconds that a clock jumps, at most, in either direction."""

STEP_BACK: Final = 2.0
"""Seconds that PostgreSQL's clock jumps back, at most: what waits there waits for so much longer."""

PROVIDER: Final[dict[str, dict[str, Any]]] = {
    "provider_429": {"kind": "rate_limit", "retry_after": 0.1, "rate": 0.7},
    "provider_quota": {"kind": "insufficient_quota", "rate": 0.2},
    "provider_401": {"kind": "unauthorized", "rate": 0.2},
    "provider_500": {"kind": "server_error", "rate": 0.7},
    "provider_503": {"kind": "server_error", "status": 503, "retry_after": 0.1, "rate": 0.7},
    "provider_html": {"kind": "html", "rate": 0.7},
    "provider_hang": {"kind": "hang", "rate": 0.3},
    "provider_drop": {"kind": "drop", "reset": True, "rate": 0.7},
    "provider_malformed_json": {"kind": "malformed_json", "rate": 0.5},
    "provider_malformed_stream": {"kind": "malformed_stream", "rate": 0.5},
    "provider_cut_stream": {"kind": "cut_stream", "rate": 0.5},
    "provider_stall_stream": {"kind": "stall_stream", "rate": 0.3},
    "provider_empty": {"kind": "empty", "rate": 0.5},
}
"""What the provider does while each of these stands."""

PROVIDER_LANES: Final = 4
"""So many of them at once."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault. Those of one lane come one after the other, lanes go on beside each other."""

    name: str
    lane: str
    strike: Strike
    missing: str | None = None
    """What it needs and this machine does not have; then it is left out, and said so."""


def kinds_of(system: System) -> list[Kind]:
    """Every kind that this system can have."""
    if isinstance(system, Embedded):
        return [*_of_server(system), *_of_clients(system), *_of_provider(system)]
    assert isinstance(system, Cluster)
    processes = [*_of_workers(system), *_of_fronts(system)]
    return [
        *processes,
        *_of_postgres(system),
        *_of_store_lines(system),
        *_of_clients(system),
        *_of_provider(system),
    ]


def _of_server(system: Embedded) -> list[Kind]:
    server = system.workers[0]

    async def disk_full(chance: Random) -> float:
        assert system.disk is not None
        system.disk.fill()
        await anyio.sleep(chance.uniform(0.1, 1.0))
        return system.disk.free()

    async def jump(chance: Random) -> float:
        return _jump(server, chance)

    no_disk = None if system.disk else "root, for a small file system of its own"
    return [
        Kind("kill_server", "processes", lambda chance: kill(system, server)),
        Kind("freeze_server", "processes", lambda chance: freeze(server, chance.uniform(0.1, 1.5))),
        Kind("restart_server", "processes", lambda chance: restart(system, server)),
        Kind("disk_full", "machine", disk_full, no_disk),
        Kind("clock_jump", "machine", jump),
    ]


def _of_workers(system: Cluster) -> list[Kind]:
    async def freeze_longer_than_its_lease(chance: Random) -> float:
        worker = chance.choice(system.workers)
        owner, froze = worker.owner, worker.freeze()
        await anyio.sleep(LEASE * chance.uniform(1.1, 1.5))
        woke = worker.thaw()
        system.history.stalled(froze, woke + WAKES, owner=owner)
        return woke

    async def jump(chance: Random) -> float:
        return _jump(chance.choice(system.workers), chance)

    async def roll(chance: Random) -> float:
        if chance.random() < 0.2:
            await system.migrate()
        return await restart(system, chance.choice(system.workers))

    return [
        Kind("kill_worker", "workers", lambda chance: kill(system, chance.choice(system.workers))),
        Kind("freeze_worker", "workers", freeze_longer_than_its_lease),
        Kind("roll_worker", "workers", roll),
        Kind("clock_worker", "workers", jump),
    ]


def _of_fronts(system: Cluster) -> list[Kind]:
    return [
        Kind("kill_front", "fronts", lambda chance: kill(system, chance.choice(system.fronts))),
        Kind("freeze_front", "fronts", lambda c: freeze(c.choice(system.fronts), c.uniform(0.1, 1.5))),
        Kind("roll_front", "fronts", lambda chance: restart(system, chance.choice(system.fronts))),
    ]


def _of_postgres(system: Cluster) -> list[Kind]:
    server = system.server

    async def kill_backends(chance: Random) -> float:
        return await _away(system, lambda: server.kill_backends(system.database))

    async def kill_server(chance: Random) -> float:
        def kill_and_start() -> None:
            server.kill()
            server.start()

        return await _away(system, kill_and_start)

    async def restart_server(chance: Random) -> float:
        mode: Any = chance.choice(("fast", "immediate"))
        return await _away(system, lambda: server.restart(mode))

    async def freeze_server(chance: Random) -> float:
        seconds = chance.uniform(0.2, 1.4 * LEASE)

        def freeze_and_wake() -> None:
            server.pause()
            time.sleep(seconds)
            server.resume()

        return await _away(system, freeze_and_wake)

    async def disk_full(chance: Random) -> float:
        assert system.disk is not None
        disk, seconds = system.disk, chance.uniform(0.2, 1.5)

        def fill_and_free() -> None:
            disk.fill()
            time.sleep(seconds)
            disk.free()
            system.revive()

        return await _away(system, fill_and_free)

    async def jump(chance: Random) -> float:
        jumped = time.monotonic()
        server.set_clock(server.offset + chance.uniform(-STEP_BACK, JUMP))
        # Every lease may be over at once, and nobody knows before its next heartbeat.
        system.history.stalled(jumped, jumped + WAKES + 1.0)
        return jumped

    return [
        Kind("kill_backends", "postgres", kill_backends),
        Kind("kill_postgres", "postgres", kill_server),
        Kind("restart_postgres", "postgres", restart_server),
        Kind("freeze_postgres", "postgres", freeze_server),
        Kind("disk_full", "postgres", disk_full, None if system.disk else "root, for a file system of its own"),
        Kind(
            "clock_postgres",
            "postgres",
            jump,
            None if server.jumps else "libfaketime (apt-get install libfaketime)",
        ),
    ]


def _of_store_lines(system: Cluster) -> list[Kind]:
    async def on_a_line(chance: Random, spoil: Callable[[TcpProxy], object], seconds: float) -> float:
        program = chance.choice(system.programs)
        line, owner, began = system.store_lines[program.name], program.owner, time.monotonic()
        mended = await _spoil(line, spoil, seconds)
        system.history.parted(began, mended + WAKES, owner=owner)
        return mended

    return [
        Kind("store_cut", "store lines", lambda c: on_a_line(c, TcpProxy.cut, 0)),
        Kind("store_refused", "store lines", lambda c: on_a_line(c, TcpProxy.refuse, c.uniform(0.1, 1.0))),
        Kind("store_slow", "store lines", lambda c: on_a_line(c, _slow(c), c.uniform(0.3, 1.0))),
        Kind("store_silent", "store lines", lambda c: on_a_line(c, _silent(c), c.uniform(0.2, 1.4 * LEASE))),
    ]


def _of_clients(system: System) -> list[Kind]:
    async def on_a_line(chance: Random, spoil: Callable[[TcpProxy], object], seconds: float) -> float:
        return await _spoil(chance.choice(system.lines), spoil, seconds)

    return [
        Kind("client_cut", "client lines", lambda c: on_a_line(c, TcpProxy.cut, 0)),
        Kind("client_refused", "client lines", lambda c: on_a_line(c, TcpProxy.refuse, c.uniform(0.1, 0.5))),
        Kind("client_slow", "client lines", lambda c: on_a_line(c, _slow(c), c.uniform(0.2, 0.6))),
        Kind("client_silent", "client lines", lambda c: on_a_line(c, _silent(c), c.uniform(0.2, 1.0))),
    ]


def _of_provider(system: System) -> list[Kind]:
    def failing(name: str, fault: dict[str, Any]) -> Strike:
        async def strike(chance: Random) -> float:
            await system.provide(name, fault)
            await anyio.sleep(chance.uniform(0.1, 0.4))
            await system.provide(name, None)
            return time.monotonic()

        return strike

    async def on_the_line(spoil: Callable[[TcpProxy], object], seconds: float) -> float:
        began = time.monotonic()
        mended = await _spoil(system.provider, spoil, seconds)
        # Until then the witness may not have heard who went away.
        system.history.blinded(began, mended + 0.2)
        return mended

    return [
        Kind("provider_cut", "provider line", lambda c: on_the_line(TcpProxy.cut, 0)),
        Kind("provider_slow", "provider line", lambda c: on_the_line(_slow(c), c.uniform(0.2, 0.5))),
        Kind("provider_silent", "provider line", lambda c: on_the_line(_silent(c), c.uniform(0.2, 1.0))),
        *(
            Kind(name, f"provider {number % PROVIDER_LANES}", failing(name, fault))
            for number, (name, fault) in enumerate(PROVIDER.items())
        ),
    ]


# --- what is done ---


async def kill(system: System, program: Program) -> float:
    """kill -9, and a new start."""
    owner = program.owner
    killed = program.kill()
    system.history.died(killed, owner=owner)
    program.start()
    await program.wait_ready()
    return killed


async def freeze(program: Program, seconds: float) -> float:
    program.freeze()
    await anyio.sleep(seconds)
    return program.thaw()


async def restart(system: System, program: Program) -> float:
    """SIGTERM, a drain, and a new start: what an upgrade does to each process."""
    told, owner = time.monotonic(), program.owner
    await system.end_program(program)
    if time.monotonic() - told > GRACE:
        system.history.parted(told, time.monotonic(), owner=owner)
    program.start()
    await program.wait_ready()
    return told


def _jump(program: Program, chance: Random) -> float:
    clock.set_offset(program.clock, chance.uniform(-JUMP, JUMP))
    return time.monotonic()


async def _away(system: Cluster, action: Callable[[], object]) -> float:
    """Something in which the store is away from everybody."""
    began = time.monotonic()
    await anyio.to_thread.run_sync(action)
    back = time.monotonic()
    system.history.parted(began, back + WAKES)
    return back


async def _spoil(line: TcpProxy, spoil: Callable[[TcpProxy], object], seconds: float) -> float:
    spoil(line)
    await anyio.sleep(seconds)
    line.resume()
    return time.monotonic()


def _slow(chance: Random) -> Callable[[TcpProxy], object]:
    seconds = chance.uniform(0.02, 0.2)
    return lambda line: line.delay(seconds)


def _silent(chance: Random) -> Callable[[TcpProxy], object]:
    ways: tuple[Directions, ...] = ("to_server", "to_client", "both")
    way = chance.choice(ways)
    return lambda line: line.silence(way)
