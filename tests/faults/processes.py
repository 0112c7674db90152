"""The processes under test: forked by the zygote, killed, frozen, ended and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
import httpx2
from tests.faults import clock

from turnlane.testing.child_process import ChildProcess

ROOT: Final = Path(__file__).resolve().parents[2]

LOOK_EVERY: Final = 0.02
"""Seconds between looks at a process that starts; the measured time to recover is as exact as this."""

START_LIMIT: Final = 60.0
"""Seconds after which a process that does not answer is taken for broken."""

SUPERVISOR_WAITS: Final = 0.2
"""Seconds until a process that gave up is started again."""

END_LIMIT: Final = 60.0
"""Seconds after which a process that was asked to end is taken for stuck."""


@dataclass
class Forked:
    """A process that the zygote forked."""

    pid: Future[int] = field(default_factory=Future)
    status: Future[int] = field(default_factory=Future)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid.result(), number)


class Zygote:
    """Forks `turnlane` processes, see `tests.faults.zygote`. All of them end with the `with` block."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._children: list[Forked] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Future[None] = Future()

    def __enter__(self) -> Self:
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.zygote"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
            )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        self._ready.result(START_LIMIT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def fork(self, arguments: Sequence[str], env: Mapping[str, str], output: Path) -> Forked:
        """Start `turnlane` with these arguments; returns when it runs."""
        assert self._process is not None
        assert self._process.stdin is not None
        child = Forked()
        self._children.append(child)
        asked = {
            "number": len(self._children) - 1,
            "arguments": list(arguments),
            "env": dict(env),
            "output": str(output),
        }
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        child.pid.result(START_LIMIT)
        return child

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._hear(json.loads(line))
        if not self._ready.done():
            self._ready.set_exception(RuntimeError(f"the zygote did not start:\n{self._log.read_text()[-2000:]}"))

    def _hear(self, row: dict[str, Any]) -> None:
        match row:
            case {"ready": _}:
                self._ready.set_result(None)
            case {"number": number, "pid": pid}:
                self._children[number].pid.set_result(pid)
            case {"number": number, "status": status}:
                self._children[number].status.set_result(status)


class Program:
    """A part of the system under test, that may be started again and again.

    Args:
        name: for logs and the history.
        arguments: of `turnlane`.
        health: URL that answers 200 while it is well.
    """

    def __init__(
        self,
        zygote: Zygote,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        health: str,
        folder: Path,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.clock = folder / f"{name}.clock"
        self.pids: list[int] = []
        """Of all its lives."""
        self._zygote = zygote
        self._arguments = arguments
        self._env = {**env, clock.VARIABLE: str(self.clock)}
        self._health = health
        self._child: Forked | None = None

    def __repr__(self) -> str:
        return f"<{self.name} {self.pids[-1:]}>"

    @property
    def owner(self) -> str:
        """What its present life signs its model and tool calls with."""
        return str(self.pids[-1])

    def start(self) -> None:
        self._child = self._zygote.fork(self._arguments, self._env, self.log)
        self.pids.append(self._child.pid.result())

    def kill(self) -> float:
        """SIGKILL; returns when it was sent, after the process is gone."""
        child = self._running()
        child.signal(signal.SIGKILL)
        killed = time.monotonic()
        child.status.result(END_LIMIT)
        return killed

    def freeze(self) -> float:
        """SIGSTOP; returns when."""
        at = time.monotonic()
        self._running().signal(signal.SIGSTOP)
        return at

    def thaw(self) -> float:
        """SIGCONT; returns when."""
        self._running().signal(signal.SIGCONT)
        return time.monotonic()

    async def end(self) -> int:
        """SIGTERM; returns the exit status.

        Raises:
            TimeoutError: it still runs.
        """
        child = self._running()
        child.signal(signal.SIGTERM)
        try:
            return await anyio.to_thread.run_sync(child.status.result, END_LIMIT)
        except TimeoutError:
            raise TimeoutError(f"{self.name} did not end within {END_LIMIT:g} s:\n{self.tail()}") from None

    async def wait_ready(self) -> float:
        """Wait until it says that it is well; returns when it did.

        One that gives up (its store is away while it starts) is started again, as its supervisor would.

        Raises:
            RuntimeError: it is not well in time.
        """
        began = time.monotonic()
        async with httpx2.AsyncClient() as client:
            while not await answers(client, self._health):
                if time.monotonic() - began > START_LIMIT:
                    raise RuntimeError(f"{self.name} is not ready:\n{self.tail()}")
                if not self.runs:
                    await anyio.sleep(SUPERVISOR_WAITS)
                    self.start()
                await anyio.sleep(LOOK_EVERY)
        return time.monotonic()

    @property
    def runs(self) -> bool:
        return self._child is not None and not self._child.status.done()

    def tail(self, lines: int = 30) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _running(self) -> Forked:
        assert self._child is not None, f"{self.name} was never started"
        return self._child


async def wait_answering(url: str, child: ChildProcess) -> None:
    """Wait until a GET of `url` is answered with 200 by the process that was started.

    Raises:
        RuntimeError: the process ended, or does not answer in time.
    """
    began = time.monotonic()
    async with httpx2.AsyncClient() as client:
        while not await answers(client, url):
            if child.exit_status is not None:
                raise RuntimeError(f"the process ended with {child.exit_status}:\n{child.tail()}")
            if time.monotonic() - began > START_LIMIT:
                raise RuntimeError(f"the process does not answer:\n{child.tail()}")
            await anyio.sleep(LOOK_EVERY)


async def answers(client: httpx2.AsyncClient, url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return (await client.get(url, timeout=5)).status_code == 200
    except httpx2.TransportError:
        return False
