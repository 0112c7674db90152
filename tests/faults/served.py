"""A `turnlane serve` process that may be killed and started again on the same port and data folder."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import Final

import anyio
from tests.faults.processes import ROOT, wait_answering

from turnlane.testing.child_process import ChildProcess, free_port

TURNLANE: Final = Path(sys.executable).with_name("turnlane")
APP: Final = "tests/faults/app.py"


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
