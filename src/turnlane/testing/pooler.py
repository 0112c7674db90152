"""pgbouncer for tests: a connection pooler in front of a PostgreSQL server, gone with the `with` block."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from types import TracebackType
from typing import Final, Literal, Self

from turnlane.testing import unprivileged
from turnlane.testing.child_process import free_port
from turnlane.testing.postgres_server import SUPERUSER, PostgresServer

PoolMode = Literal["session", "transaction", "statement"]

_PATIENCE: Final = 20.0

_CONFIGURATION: Final = """\
[databases]
* = host=127.0.0.1 port={server_port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
"""


class PoolerMissing(Exception):
    """No pgbouncer here. The message says how to get it."""


class PoolerFailed(Exception):
    """It did not start. The message has the end of its log."""


class Pooler:
    """A pgbouncer in front of `server`.

    Args:
        server: where its connections go.
        mode: when a server connection goes to the next client.
        size: server connections for each database and user.

    Raises:
        PoolerMissing: there is no pgbouncer here.
    """

    def __init__(self, server: PostgresServer, mode: PoolMode, *, size: int = 20) -> None:
        # Debian installs it where only root's PATH looks.
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise PoolerMissing("no pgbouncer here; to get it: apt-get install pgbouncer")
        self._program = program
        self.port = free_port()
        self.folder = unprivileged.new_folder("turnlane-pgbouncer-")
        self._log = self.folder / "log"
        self._settings = self.folder / "pgbouncer.ini"
        self._settings.write_text(
            _CONFIGURATION.format(server_port=server.port, user=SUPERUSER, port=self.port, mode=mode, size=size)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """How to reach a database through it."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        """Returns when it takes connections.

        Raises:
            PoolerFailed: it ended, or takes none.
        """
        self._process = unprivileged.start([self._program, str(self._settings)], folder=self.folder, log=self._log)
        until = time.monotonic() + _PATIENCE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                log = self._log.read_text(errors="replace")
                self.close()
                raise PoolerFailed(f"pgbouncer did not start:\n{log}")
            time.sleep(0.005)
        return self

    def close(self) -> None:
        """End it and remove its files. May be called twice."""
        if self._process is not None:
            assert self._process.stdin is not None
            # Its supervisor takes this as the end of the test run: it kills it and removes the folder.
            self._process.stdin.close()
            self._process.wait(_PATIENCE)
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
