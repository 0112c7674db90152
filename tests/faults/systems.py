"""What is broken: one server with its SQLite file, or two front ends, three workers and a PostgreSQL server."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import anyio
from tests.faults.processes import ROOT, Program, Zygote, wait_answering

from turnlane.testing import unprivileged
from turnlane.testing.child_process import ChildProcess, free_port
from turnlane.testing.history import History
from turnlane.testing.postgres_server import PostgresServer
from turnlane.testing.tcp_proxy import TcpProxy

APP: Final = "tests/faults/app.py"

LEASE: Final = 3.0
"""Seconds; short, so that a schedule has time for many frozen owners."""

GRACE: Final = 5.0
"""Seconds that running turns get at SIGTERM: more than any needs."""

MODEL_TIMEOUT: Final = 2.0
"""Seconds: a provider that hangs must not hold a schedule up."""

MAX_ATTEMPTS: Final = 50
"""A turn may meet many kills here; the default of 8 is for turns that kill their process themselves."""

FRONTS: Final = 2
WORKERS: Final = 3

LIBFAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Debian's package libfaketime: PostgreSQL's clock jumps with it."""


class System(ABC):
    """A system under test, its network and its witness, from start to end."""

    workers: list[Program]
    """Those that run agents."""
    fronts: list[Program]
    """Those that take requests."""

    def __init__(self, folder: Path, history: History, zygote: Zygote, *, ledger: bool = True) -> None:
        self.folder = folder
        self.history = history
        self.zygote = zygote
        self.notes = folder / "notes.jsonl"
        self.prompts = folder / "prompts.jsonl"
        self.problems: list[str] = []
        """What was wrong beside the history: a bad exit status, a broken store."""
        self._control = folder / "control.fifo"
        self._ledger = ledger
        self._stack = ExitStack()
        self._witness_port = free_port()
        self.witness: ChildProcess | None = None
        self.provider = TcpProxy(("127.0.0.1", self._witness_port))
        self.lines: list[TcpProxy] = []
        """In front of each front end."""

    @property
    def programs(self) -> list[Program]:
        return list(dict.fromkeys([*self.fronts, *self.workers]))

    @property
    def origins(self) -> list[str]:
        return [f"http://127.0.0.1:{line.port}" for line in self.lines]

    async def start(self) -> None:
        os.mkfifo(self._control)
        self._stack.enter_context(self.provider)
        self.witness = self._stack.enter_context(self._new_witness())
        await wait_answering(f"http://127.0.0.1:{self._witness_port}/v1/models", self.witness)
        await self._start()
        for program in self.programs:
            program.start()
        for program in self.programs:
            await program.wait_ready()

    async def end(self) -> None:
        """SIGTERM to all; then the store is looked at, and the witness writes its record."""
        for program in self.programs:
            await self.end_program(program)
        self.problems += await anyio.to_thread.run_sync(self._look_at_store)
        assert self.witness is not None
        self.witness.signal(15)
        await anyio.to_thread.run_sync(self.witness.wait, 60)

    def close(self) -> None:
        """Kill what still runs."""
        for program in self.programs if hasattr(self, "workers") else ():
            if program.runs:
                program.kill()
        self._stack.close()

    async def end_program(self, program: Program) -> None:
        status = await program.end()
        if status != 0:
            self.problems.append(f"{program.name} ended with {status} at SIGTERM:\n{program.tail(5)}")

    async def provide(self, name: str, fault: dict[str, Any] | None) -> None:
        """Let the provider fail in one way more; None: no longer in this way."""
        line = json.dumps({"name": name, "fault": fault}) + "\n"
        await anyio.to_thread.run_sync(self._control.write_text, line)

    @abstractmethod
    async def _start(self) -> None:
        """Make the store and the programs."""

    @abstractmethod
    def _look_at_store(self) -> list[str]: ...

    def _program(self, name: str, verb: str, *options: str, port: int) -> Program:
        env = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.provider.port}/v1",
            "OPENAI_API_KEY": "practice",
            "TURNLANE_FAULTS_NOTES": str(self.notes),
            "TURNLANE_FAULTS_LEDGER": str(int(self._ledger)),
            "TURNLANE_FAULTS_MODEL_TIMEOUT": str(MODEL_TIMEOUT),
        }
        common = ["--grace", f"{GRACE:g}", "--loop-watch", "0", *options]
        health = f"http://127.0.0.1:{port}/readyz"
        return Program(self.zygote, name, [verb, APP, *common], env, health, self.folder)

    def _new_witness(self) -> ChildProcess:
        command = [sys.executable, "-m", "tests.faults.witness", "--port", str(self._witness_port)]
        files = ["--record", str(self.prompts), "--control", str(self._control)]
        return ChildProcess([*command, *files], output=self.folder / "witness.log", cwd=ROOT)

    def _disk(self, megabytes: int) -> Disk | None:
        """A file system of its own; None where there can be none."""
        disk = Disk(megabytes)
        return self._stack.enter_context(disk) if disk.mount() else None


class Embedded(System):
    """One `turnlane serve` with its SQLite file."""

    async def _start(self) -> None:
        port = free_port()
        self.disk = self._disk(200)
        self.data = (self.disk.folder if self.disk else self.folder) / "data"
        options = ["--data", str(self.data), "--max-attempts", str(MAX_ATTEMPTS), "--port", str(port)]
        server = self._program("server", "serve", *options, port=port)
        self.workers = self.fronts = [server]
        self.lines = [self._stack.enter_context(TcpProxy(("127.0.0.1", port)))]

    def _look_at_store(self) -> list[str]:
        with sqlite3.connect(self.data / "turnlane.db") as store:
            said = str(store.execute("PRAGMA integrity_check").fetchone()[0])
        return [] if said == "ok" else [f"PRAGMA integrity_check: {said}"]


class Cluster(System):
    """Two front ends, three workers and a PostgreSQL server, each process on a line of its own to the database."""

    async def _start(self) -> None:
        self.disk = self._disk(2000)
        self.server = JumpingServer(self.disk.folder if self.disk else None)
        self._stack.callback(self.server.close)
        await anyio.to_thread.run_sync(self.server.start)
        self.database = self.server.create_database()
        self.store_lines: dict[str, TcpProxy] = {}
        self.fronts = [self._front(number) for number in range(FRONTS)]
        self.workers = [self._worker(number) for number in range(WORKERS)]
        await self.migrate()

    async def migrate(self) -> None:
        """Run `turnlane migrate`, as an upgrade does."""
        url = self.server.url(self.database)
        child = self.zygote.fork(["migrate", "--engine", url], {}, self.folder / "migrate.log")
        status = await anyio.to_thread.run_sync(child.status.result, 60)
        if status != 0:
            self.problems.append(
                f"turnlane migrate ended with {status}: {(self.folder / 'migrate.log').read_text()}"
            )

    def _front(self, number: int) -> Program:
        port = free_port()
        self.lines.append(self._stack.enter_context(TcpProxy(("127.0.0.1", port))))
        name = f"front-{number}"
        return self._program(name, "serve", "--no-worker", *self._store(name), "--port", str(port), port=port)

    def _worker(self, number: int) -> Program:
        port = free_port()
        name = f"worker-{number}"
        return self._program(name, "worker", *self._store(name), "--health-port", str(port), port=port)

    def _store(self, name: str) -> Sequence[str]:
        line = self.store_lines[name] = self._stack.enter_context(TcpProxy(("127.0.0.1", self.server.port)))
        url = self.server.url(self.database, port=line.port)
        return ["--engine", url, "--lease", f"{LEASE:g}", "--max-attempts", str(MAX_ATTEMPTS)]

    def revive(self) -> None:
        """Start PostgreSQL again if it gave up, as its supervisor would."""
        if self.server.pid is None:
            self.server.restart()

    def _look_at_store(self) -> list[str]:
        shutil.copy(self.server.log, self.folder / "postgres.log")
        queued = self.server.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", self.database)
        return [] if queued else ["PostgreSQL does not answer"]


class JumpingServer(PostgresServer):
    """A PostgreSQL server whose clock jumps when told, where libfaketime is installed."""

    def __init__(self, folder: Path | None) -> None:
        # Small, because it may live in memory.
        settings = {
            "max_wal_size": "128MB",
            "min_wal_size": "32MB",
            "shared_buffers": "64MB",
            "log_lock_waits": "on",
            "log_line_prefix": "%m [%p] ",
        }
        super().__init__(settings=settings, folder=folder)
        self._clock = self.folder / "clock"
        self.set_clock(0)

    @property
    def jumps(self) -> bool:
        return LIBFAKETIME is not None

    def set_clock(self, seconds: float) -> None:
        """Let its clock be off by so much, from now on."""
        self.offset = round(seconds)
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{self.offset:+d}\n")
        fresh.replace(self._clock)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        if program != "postgres" or not self.jumps:
            return super()._run(program, *arguments)
        faked = {
            "LD_PRELOAD": LIBFAKETIME,
            "FAKETIME_TIMESTAMP_FILE": self._clock,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        }
        command = ["env", *(f"{name}={value}" for name, value in faked.items()), str(self._programs / program)]
        return unprivileged.start([*command, *arguments], folder=self.folder, log=self.log)


class Disk:
    """A small file system of its own, so that it can be full; needs root."""

    def __init__(self, megabytes: int) -> None:
        # Not in pytest's `tmp_path`, which PostgreSQL's user may not enter.
        self.folder = Path(tempfile.mkdtemp(prefix="turnlane-disk-"))
        self._megabytes = megabytes
        self._ballast = self.folder / "ballast"

    def mount(self) -> bool:
        """Make it; False when this process may not."""
        options = f"size={self._megabytes}m,mode=0755"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        made = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
        if not made:
            self.folder.rmdir()
        return made

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
        self.folder.rmdir()

    def fill(self) -> float:
        """Leave nothing; returns when."""
        with self._ballast.open("wb") as ballast:
            free = shutil.disk_usage(self.folder).free
            with suppress(OSError):
                os.posix_fallocate(ballast.fileno(), 0, free)
        return time.monotonic()

    def free(self) -> float:
        self._ballast.unlink(missing_ok=True)
        return time.monotonic()
