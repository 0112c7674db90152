"""Notices when the database file can't be used, and when it can again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from turnlane.runtime.engine import EngineError, EngineUnavailable
from turnlane.runtime.engines.sqlite_thread import Answer
from turnlane.telemetry.outage import Outage

PROBE_PAUSE: Final = 1.0
"""Seconds between two tries while the file can't be used: nobody else may try, since /readyz keeps users away."""

PROBE_SIZE: Final = 256 * 1024
"""Bytes."""

QUIET: Final = 2.0
"""Seconds without a failure after which all is well. A disk that is nearly full takes small changes and refuses
large ones, whose owners try again every second."""


class StoreWatch:
    """Used on the event loop only.

    Args:
        probe: asks for a change of the file (`write_something`); its answer comes to `answered` like all others.
    """

    def __init__(self, probe: Callable[[], None]) -> None:
        self._probe = probe
        self._outage = Outage(quiet=QUIET)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str | None:
        return self._outage.reason

    def answered(self, answers: Iterable[Answer]) -> None:
        """What became of a batch of changes."""
        worked = False
        for answer in answers:
            if isinstance(answer.error, EngineUnavailable):
                self.failed(answer.error)
                return
            # A refusal was looked up in the file; any other error says nothing about it.
            worked = worked or answer.error is None or isinstance(answer.error, EngineError)
        if worked:
            self._outage.worked()

    def failed(self, error: EngineUnavailable) -> None:
        """The file could not be read or written."""
        self._outage.failed(str(error))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PROBE_PAUSE, self._try)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _try(self) -> None:
        self._timer = None
        if self.trouble is not None:
            self._timer = asyncio.get_running_loop().call_later(PROBE_PAUSE, self._try)
            self._probe()


def write_something(path: Path, connection: sqlite3.Connection) -> None:
    """A change of the database that changes nothing, and the same of its disk: both need room.

    Neither shows the other: SQLite may have room in its own files when the disk has none left.

    Raises:
        EngineUnavailable, sqlite3.Error
    """
    _write_beside(path)
    connection.execute("SAVEPOINT probe")
    connection.execute("CREATE TABLE probe (room)")
    connection.execute("INSERT INTO probe VALUES (zeroblob(?))", (PROBE_SIZE,))
    connection.execute("ROLLBACK TO probe")
    connection.execute("RELEASE probe")
    # Written even though it is the same: so that the file's end is written and synced, too.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def _write_beside(path: Path) -> None:
    scratch = path.with_name(f"{path.name}-probe")
    try:
        with scratch.open("wb") as file:
            file.write(bytes(PROBE_SIZE))
            file.flush()
            os.fsync(file.fileno())
        scratch.unlink()
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise EngineUnavailable(
            f"the disk of {path} can't be written ({error.strerror}): free some space"
        ) from error
