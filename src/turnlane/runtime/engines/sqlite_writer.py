"""The thread that writes: all that waits is one transaction, and one fsync (group commit)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from turnlane.runtime.engine import EngineError, EngineUnavailable
from turnlane.runtime.engines.sqlite_errors import translated
from turnlane.runtime.engines.sqlite_thread import Answer, Call, ConnectionThread


class Undoable(Protocol):
    """What the calls change besides the database, in step with its transactions."""

    def ready(self, connection: sqlite3.Connection) -> None:
        """A transaction is about to begin: be what the database says."""
        ...

    def take_effects(self) -> Sequence[Any]:
        """The effects of the call that was just done."""
        ...

    def keep(self, effects: Sequence[Any]) -> None:
        """The transaction was committed, with the effects of all its calls."""
        ...

    def forget(self) -> None:
        """The transaction was undone."""
        ...


class Writer(ConnectionThread):
    """Group commit. A call is done wholly or not at all, and durable before its future is resolved.

    A call refuses by raising `EngineError` before it has written anything. After any other error the whole
    transaction is undone and its calls are done again, each in a transaction of its own: so a savepoint
    for every call (two statements each) is not needed in all the batches where nothing goes wrong.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[], sqlite3.Connection],
        undoable: Undoable,
        applied: Callable[[list[Answer]], None],
        died: Callable[[EngineUnavailable], None],
    ) -> None:
        super().__init__("turnlane-writer", path)
        self._opener = opener
        self._undoable = undoable
        self._applied = applied
        self._on_death = died
        self.commits = 0
        self.operations = 0
        """Calls that were committed, in `commits` transactions."""

    def _open(self) -> sqlite3.Connection:
        return self._opener()

    def _deliver(self, answers: list[Answer]) -> None:
        self._unanswered -= len(answers)
        self._applied(answers)

    def _died(self, reason: EngineUnavailable, taken: Sequence[Call]) -> None:
        super()._died(reason, taken)
        self._on_death(reason)

    def _work_off(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer]:
        try:
            return self._together(connection, calls)
        except Exception as error:
            if len(calls) == 1:
                return [Answer(calls[0], error=translated(error, self._path))]
            return [answer for call in calls for answer in self._work_off(connection, [call])]

    def _together(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer]:
        """One transaction for all calls. Raises: nothing of them was done."""
        try:
            self._undoable.ready(connection)
            connection.execute("BEGIN IMMEDIATE")
            answers = [self._one(connection, call) for call in calls]
            connection.execute("COMMIT")
        except BaseException:
            # Some errors (a full disk) have ended the transaction already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._undoable.forget()
            raise
        self.commits += 1
        self.operations += len(calls)
        self._undoable.keep([effect for answer in answers for effect in answer.effects])
        return answers

    def _one(self, connection: sqlite3.Connection, call: Call) -> Answer:
        before = connection.total_changes
        try:
            value = call.work(connection)
        except EngineError as refusal:
            if connection.total_changes != before:
                raise RuntimeError("a call wrote and then refused") from refusal
            return Answer(call, error=refusal)
        return Answer(call, value, effects=self._undoable.take_effects())
