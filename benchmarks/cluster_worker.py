"""A worker that runs no agents, as a process or in the measuring one: a turn's options say what it does.

As a program: `python cluster_worker.py CAPACITY`, the engine's URL in TURNLANE_ENGINE. Each line on standard input
is answered with the number of turns that were committed; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from turnlane.runtime.conversation import Claim, Outcome, SavedState, StopAsk, TurnEvent
from turnlane.runtime.engine import Engine, OwnershipLost
from turnlane.worker.collector import spare_what_is_loaded

AGENT: Final = "no-op"
URL_VARIABLE: Final = "TURNLANE_ENGINE"


def as_a_server() -> None:
    """Set the interpreter up as `turnlane serve` and `turnlane worker` do (see `turnlane.cli.stopping`)."""
    sys.setswitchinterval(0.0005)
    spare_what_is_loaded()


class BenchWorker:
    """Commits what it gets. Options of a turn: `seconds` of sleep, `events` to publish with a `pause` between two,
    `state` in bytes. The answer tells when the turn started and ended, on the clock of `time.perf_counter`,
    which all processes of a Linux machine share."""

    def __init__(self, engine: Engine, capacity: int) -> None:
        self.capacity = capacity
        self.agent_limits: Mapping[str, int | None] = {AGENT: None}
        self.committed = 0
        self.lost_turns = 0
        self._engine = engine
        self._running: set[asyncio.Task[None]] = set()

    def deliver(self, claim: Claim) -> None:
        task = asyncio.ensure_future(self._run(claim, time.perf_counter()))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def stop(self, turn_id: str, attempt: int, why: StopAsk) -> None: ...

    def lost(self, turn_id: str, attempt: int) -> None: ...

    async def _run(self, claim: Claim, started: float) -> None:
        options = claim.turn.options
        for number in range(options.get("events", 0)):
            data = {"text": "piece of text "}
            piece = TurnEvent(claim.first_seq + number, "text.delta", time.perf_counter(), data)
            await self._engine.publish(claim, [piece])
            await asyncio.sleep(options["pause"])
        if seconds := options.get("seconds"):
            await asyncio.sleep(seconds)
        try:
            await self._engine.commit(claim, _outcome(claim, started))
        except OwnershipLost:
            self.lost_turns += 1
            return
        self.committed += 1


def _outcome(claim: Claim, started: float) -> Outcome:
    options = claim.turn.options
    said = options.get("events", 0)
    finished = TurnEvent(claim.first_seq + said, "finished", time.time(), {"status": "completed"})
    # Text that does not compress to nothing: stores squeeze large values.
    filler = os.urandom(options["state"] // 2).hex() if options.get("state") else ""
    state = SavedState(AGENT, "1", {"turn": claim.turn.id, "filler": filler})
    times = {"started": started, "ended": time.perf_counter()}
    answer = {"type": "message", "item": claim.turn.id, "text": "done", **times}
    return Outcome("completed", output=[answer], state=state, events=[finished])


class WorkerProcess:
    """This file as a process; it ends when its standard input does, so with this process at the latest."""

    def __init__(self, url: str, capacity: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(capacity)],
            env={**os.environ, URL_VARIABLE: url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> Self:
        await self.counts()
        return self

    async def counts(self) -> dict[str, int]:
        """Turns committed so far, and turns whose ownership was lost."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker process ended before its time; its error is above")
        counts: dict[str, int] = json.loads(line)
        return counts

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.to_thread(self._process.wait, 20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def _serve(url: str, capacity: int) -> None:
    from stores import engine_of

    engine = engine_of(url)
    await engine.open()
    worker = BenchWorker(engine, capacity)
    await engine.attach(worker)
    as_a_server()
    loop, asked = asyncio.get_running_loop(), asyncio.Queue[str]()
    threading.Thread(target=_read_lines, args=(loop, asked), daemon=True).start()
    while await asked.get():
        answer: dict[str, Any] = {"committed": worker.committed, "lost": worker.lost_turns}
        print(json.dumps(answer), flush=True)
    await engine.detach(worker)
    await engine.close()


def _read_lines(loop: asyncio.AbstractEventLoop, asked: asyncio.Queue[str]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(asked.put_nowait, line)
    loop.call_soon_threadsafe(asked.put_nowait, "")


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(os.environ[URL_VARIABLE], int(sys.argv[1])))
