"""What keeps the turns of a measurement: a data folder, or a PostgreSQL server that is started for it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

from processes import cpu_seconds, dead_children_cpu_seconds
from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.embedded import DATABASE, EmbeddedEngine
from turnlane.runtime.engines.sqlite_rows import SEQ_BITS
from turnlane.runtime.limits import Bounds
from turnlane.testing.postgres_server import NEWEST, PostgresServer

UNBOUNDED: Final = Bounds(lane=1_000_000, total=10_000_000)
"""The bounds are not what is measured."""


def engine_of(url: str, *, lease: float | None = None) -> Engine:
    """The engine of `sqlite:////FOLDER` or `postgresql://...`."""
    if url.startswith("sqlite:"):
        return EmbeddedEngine(Path(urlsplit(url).path[1:]), bounds=UNBOUNDED)
    from turnlane.runtime.engines.postgres.engine import PostgresEngine

    return PostgresEngine(url, bounds=UNBOUNDED, **({} if lease is None else {"lease": lease}))


class Store(Protocol):
    """One empty store."""

    @property
    def url(self) -> str: ...

    def cpu(self) -> float:
        """Seconds of CPU of its own processes so far."""
        ...

    def size(self) -> int:
        """Bytes that it keeps."""
        ...

    def logged(self) -> int:
        """Bytes that went to its write-ahead log so far; 0 where nobody counts them."""
        ...

    def connections(self) -> int:
        """Connections to it."""
        ...

    def multiply(self, times: int) -> None:
        """Copy the one conversation that it holds `times` times. Nobody may use the store meanwhile."""
        ...


class SqliteStore:
    """A data folder. Its one process is the one that measures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"sqlite:///{folder}"

    def cpu(self) -> float:
        return 0.0

    def size(self) -> int:
        return sum(file.stat().st_size for file in self._folder.iterdir())

    def logged(self) -> int:
        return 0

    def connections(self) -> int:
        return 0

    def multiply(self, times: int) -> None:
        with closing(sqlite3.connect(self._folder / DATABASE, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN")
            for table, changed in _SQLITE_KEYS.items():
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                copied = ", ".join(changed.get(column, column) for column in columns)
                database.execute(
                    _SQLITE_COPY.format(table=table, columns=", ".join(columns), copied=copied), [times]
                )
            database.execute("COMMIT")


_SQLITE_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "conversation": {"n": "n + k", "id": "id || '-' || k"},
    "state": {"conversation": "conversation + k"},
    "turn": {"n": "n + k", "id": "id || '-' || k", "conversation": "conversation + k"},
    "event_chunk": {"id": f"id + (k << {SEQ_BITS})"},
}
"""What differs in copy number k of each row."""

_SQLITE_COPY: Final = """
    WITH RECURSIVE copies(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copies WHERE k < ?)
    INSERT INTO {table} ({columns}) SELECT {copied} FROM copies, {table}"""


class PostgresStore:
    """A database of its own on a server that only the benchmark uses."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self._server = server
        self._database = database
        self.url = server.url(database)

    def cpu(self) -> float:
        pids = self._server.processes()
        return dead_children_cpu_seconds(pids[0]) + sum(cpu_seconds(pid, gone=0.0) for pid in pids)

    def size(self) -> int:
        return self._number("SELECT pg_database_size(current_database())")

    def logged(self) -> int:
        return self._number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")

    def connections(self) -> int:
        return len(self._server.backends(self._database))

    def multiply(self, times: int) -> None:
        for table, changed in _POSTGRES_KEYS.items():
            rows = self._server.execute(_POSTGRES_COLUMNS, table, database=self._database)
            columns = [name for (name,) in rows]
            copied = ", ".join(changed.get(column, column) for column in columns)
            self._server.execute(
                f"INSERT INTO turnlane.{table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE "
                f"SELECT {copied} FROM turnlane.{table}, generate_series(1, {times}) AS k",
                database=self._database,
            )
            if "n" in changed:
                sequence = f"pg_get_serial_sequence('turnlane.{table}', 'n')"
                self._number(f"SELECT setval({sequence}, max(n)) FROM turnlane.{table}")
            self._server.execute(f"VACUUM ANALYZE turnlane.{table}", database=self._database)

    def _number(self, query: str) -> int:
        [(number,)] = self._server.execute(query, database=self._database)
        return int(number)


_POSTGRES_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "conversation": {"n": "n + k", "id": "id || '-' || k"},
    "state": {"conversation": "conversation + k"},
    "turn": {"n": "n + k", "id": "id || '-' || k", "conversation": "conversation + k"},
    "event_chunk": {"turn": "turn + k"},
}
"""The same as `_SQLITE_KEYS`."""

_POSTGRES_COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = ('turnlane.' || $1::text)::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


class Stores:
    """Makes empty stores in `folder`; the PostgreSQL server that they need ends with the `with` block.

    Args:
        folder: on the disk that is to be measured.
        version: of PostgreSQL.
        settings: of PostgreSQL, beside its own defaults.
    """

    def __init__(
        self, folder: Path, version: int = NEWEST, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._folder = folder
        self._version = version
        self._settings = settings
        self._made = 0
        self._servers = ExitStack()
        self._server: PostgresServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def empty(self, kind: str) -> AbstractContextManager[Store]:
        """A new store, `sqlite` or `postgresql`; what it keeps is deleted at the end of its block."""
        if kind == "postgresql":
            return self._database()
        self._made += 1
        return self._data_folder(self._folder / f"data-{self._made}")

    @contextmanager
    def _data_folder(self, folder: Path) -> Iterator[Store]:
        folder.mkdir()
        try:
            yield SqliteStore(folder)
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _database(self) -> Iterator[Store]:
        if self._server is None:
            # Beside our own folder, which nobody else may enter: PostgreSQL never runs as root.
            disk = self._folder.parent
            server = PostgresServer(self._version, fsync=True, settings=self._settings, folder=disk)
            self._server = self._servers.enter_context(server)
        name = self._server.create_database()
        try:
            yield PostgresStore(self._server, name)
        finally:
            self._server.drop_database(name)
