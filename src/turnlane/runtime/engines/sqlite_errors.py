"""What SQLite says, in sentences that tell what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from turnlane.runtime.engine import EngineUnavailable

# The primary result codes of SQLite (https://sqlite.org/rescode.html); `sqlite3` has them as ints.
_SENTENCES: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: "the disk of {path} is full: nothing was stored; free some space, it goes on by itself",
    sqlite3.SQLITE_READONLY: "{path} can't be written: give this user the right to write the file and its folder",
    sqlite3.SQLITE_IOERR: "{path} can't be read or written ({error}): look at the disk and its quota",
    sqlite3.SQLITE_CORRUPT: "{path} is damaged ({error}): stop, and restore it from a backup",
    sqlite3.SQLITE_NOTADB: "{path} is not a Turnlane database: choose another data folder",
    sqlite3.SQLITE_CANTOPEN: "{path} can't be opened: check that the data folder exists and may be written",
    sqlite3.SQLITE_BUSY: "{path} is used by another program: close it, or choose another data folder",
    sqlite3.SQLITE_LOCKED: "{path} is used by another program: close it, or choose another data folder",
}


def unavailable(error: sqlite3.Error, path: Path) -> EngineUnavailable:
    """The sentence for an error of SQLite; `path` is the database file."""
    # The low byte is the primary code, the rest says where it happened.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    sentence = _SENTENCES.get(code, "{path} failed: {error}")
    return EngineUnavailable(sentence.format(path=path, error=error))


def translated(error: Exception, path: Path) -> Exception:
    """`error`, or `EngineUnavailable` in its place when the store is to blame and not the caller."""
    if not isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError):
        return error
    # These three are wrong calls of ours: told as a fault of the store they would never be found.
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
        return error
    clear = unavailable(error, path)
    clear.__cause__ = error
    return clear
