"""What keeps the turns of a measurement: a data folder, or a PostgreSQL server that is started for it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

from turnlane.runtime.engine import Engine
from turnlane.runtime.engines.embedded import DATABASE, EmbeddedEngine
from turnlane.runtime.engines.sqlite_rows import SEQ_BITS
from turnlane.runtime.limits import Bounds

UNBOUNDED: Final = Bounds(lane=1_000_000, total=10_000_000)
"""The bounds are not what is measured."""


def engine_of(url: str, *, lease: float | None = None) -> Engine:
    """The engine of `sqlite:///FOLDER` or `postgresql://...`."""
    if url.startswith("sqlite:"):
        return EmbeddedEngine(Path(urlsplit(url).path), bounds=UNBOUNDED)
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
        self.url = f"sqlite://{folder}"

    def cpu(self) -> float:
        return 0.0

    def size(self) -> int:
        return sum(file.stat().st_size for file in self._folder.iterdir())

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


class Stores:
    """Makes empty stores in `folder`; the servers that they need end with the `with` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._servers = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def empty(self, kind: str) -> AbstractContextManager[Store]:
        """A new store, `sqlite` or `postgresql`; what it keeps is deleted at the end of its block."""
        self._made += 1
        return self._data_folder(self._folder / f"data-{self._made}")

    @contextmanager
    def _data_folder(self, folder: Path) -> Iterator[Store]:
        folder.mkdir()
        try:
            yield SqliteStore(folder)
        finally:
            shutil.rmtree(folder)
