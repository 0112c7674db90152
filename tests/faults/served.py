"""A `turnlane serve` process that may be killed and started again on the same port and data folder."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import Final

import anyio
import httpx2

from turnlane.testing.child_process import ChildProcess, free_port

ROOT: Final = Path(__file__).resolve().parents[2]
TURNLANE: Final = Path(sys.executable).with_name("turnlane")
APP: Final = "tests/faults/app.py"

LOOK_EVERY: Final = 0.02
"""Seconds between looks at a server that starts; the measured time to recover is as exact as this."""

START_LIMIT: Final = 60.0
"""Seconds after which a server that does not answer is taken for broken."""


class Served:
    """The server. `ready` is set while it answers; clients wait for it after a broken connection."""

    def __init__(self, folder: Path, provider: str, *options: str) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.notes = folder / "notes.jsonl"
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.ready = anyio.Event()
        self.child: ChildProcess | None = None
        self._options = options
        self._env = {
            "OPENAI_BASE_URL": provider,
            "OPENAI_API_KEY": "practice",
            "TURNLANE_FAULTS_NOTES": str(self.notes),
        }

    def start(self) -> ChildProcess:
        command = [str(TURNLANE), "serve", APP, "--port", str(self.port), "--data", str(self.data)]
        self.child = ChildProcess([*command, *self._options], env=self._env, output=self.log, cwd=ROOT)
        return self.child

    async def wait_ready(self) -> float:
        """Wait until it accepts turns; returns the time at which it did.

        Raises:
            RuntimeError: the process ended, or does not answer in time.
        """
        assert self.child is not None, "not started"
        await wait_answering(f"{self.origin}/readyz", self.child)
        self.ready.set()
        return time.monotonic()

    def kill(self) -> float:
        """SIGKILL; returns the time just after the process was gone."""
        assert self.child is not None, "not started"
        if self.ready.is_set():  # else: killed again while it starts, and clients wait for this very event
            self.ready = anyio.Event()
        self.child.kill()
        return time.monotonic()

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()

    def integrity(self) -> str:
        """What SQLite says about the database; `ok` if all is well. The server must not run."""
        with sqlite3.connect(self.data / "turnlane.db") as store:
            return str(store.execute("PRAGMA integrity_check").fetchone()[0])


async def wait_answering(url: str, child: ChildProcess) -> None:
    """Wait until a GET of `url` is answered with 200 by the process that was started.

    Raises:
        RuntimeError: the process ended, or does not answer in time.
    """
    began = time.monotonic()
    async with httpx2.AsyncClient() as client:
        while not await _answers(client, url):
            if child.exit_status is not None:
                raise RuntimeError(f"the process ended with {child.exit_status}:\n{child.tail()}")
            if time.monotonic() - began > START_LIMIT:
                raise RuntimeError(f"the process does not answer:\n{child.tail()}")
            await anyio.sleep(LOOK_EVERY)


async def _answers(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url, timeout=5)).status_code == 200
    except httpx2.TransportError:
        return False
