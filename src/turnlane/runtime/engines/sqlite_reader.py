"""The thread that reads: it sees what is committed, and never waits for the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from turnlane.runtime.engines.sqlite_errors import translated
from turnlane.runtime.engines.sqlite_schema import open_for_reading
from turnlane.runtime.engines.sqlite_thread import Answer, Call, ConnectionThread


class Reader(ConnectionThread):
    """Reads on a connection of its own; each call is a snapshot of its own."""

    def _open(self) -> sqlite3.Connection:
        return open_for_reading(self._path)

    def _work_off(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer]:
        return [self._one(connection, call) for call in calls]

    def _one(self, connection: sqlite3.Connection, call: Call) -> Answer:
        try:
            return Answer(call, call.work(connection))
        except Exception as error:
            return Answer(call, error=translated(error, self._path))
