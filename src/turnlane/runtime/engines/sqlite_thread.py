"""Threads that own a connection, and how the event loop talks to them.

A call is put into a queue; the thread takes all that wait, works them off, and hands all results back to
the loop at once: two thread switches for a whole batch, however large.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.sqlite_errors import translated

T = TypeVar("T")

Work: TypeAlias = Callable[[sqlite3.Connection], T]

MOST_AT_ONCE: Final = 512
"""Calls in one batch; more would make the first of them wait too long."""


@dataclass(slots=True, eq=False)
class Call:
    """Something the loop asked a thread to do."""

    work: Work[Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: `error` or else `value`. `effects` are for the loop, before the future."""

    call: Call
    value: object = None
    error: BaseException | None = None
    effects: Sequence[Any] = ()

    def give(self) -> None:
        """Resolve the call's future, on the loop."""
        future = self.call.future
        if future.done():  # whoever waited was cancelled
            return
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(self.value)


class ConnectionThread(ABC):
    """A thread with a connection of its own. Started and stopped once; used from one event loop."""

    def __init__(self, name: str, path: Path) -> None:
        self._path = path
        self._name = name
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._gone: EngineUnavailable | None = EngineUnavailable(f"{path} is not open: call open() first")
        self._dropping = False
        self._unanswered = 0

    # --- on the event loop ---

    async def start(self) -> None:
        """Start the thread and open its connection.

        Raises:
            EngineUnavailable: the connection can't be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._gone = None
        opened: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a program that ends without close() must end; what was accepted is on the disk.
        self._thread = threading.Thread(target=self._main, args=(opened,), name=self._name, daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._gone = EngineUnavailable(f"{self._path} could not be opened")
            raise

    @property
    def is_open(self) -> bool:
        return self._gone is None

    @property
    def is_idle(self) -> bool:
        """Everything that was submitted has been answered."""
        return self._unanswered == 0

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Have `work` done by the thread, after everything submitted before.

        Raises:
            EngineUnavailable: the thread has ended.
        """
        if self._gone is not None:
            raise EngineUnavailable(str(self._gone))
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        self._unanswered += 1
        self._calls.put(Call(work, future))
        return future

    async def stop(self, *, drop: bool = False) -> None:
        """End the thread after what was submitted; with `drop`, what it has not begun is left undone."""
        thread, self._thread = self._thread, None
        if self._gone is None:
            self._gone = EngineUnavailable(f"{self._path} is closed")
        if thread is None:
            return
        self._dropping = drop
        self._calls.put(None)
        assert self._loop is not None
        await self._loop.run_in_executor(None, thread.join)
        self._refuse_waiting()

    # --- in the thread ---

    @abstractmethod
    def _open(self) -> sqlite3.Connection:
        """Make the connection."""

    @abstractmethod
    def _work_off(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Answer]:
        """Do the calls; no error of a call may escape."""

    def _deliver(self, answers: list[Answer]) -> None:
        """On the loop: hand out the answers of a batch."""
        self._unanswered -= len(answers)
        for answer in answers:
            answer.give()

    def _died(self, reason: EngineUnavailable, taken: Sequence[Call]) -> None:
        """On the loop: the thread has ended by a bug, with these calls in hand."""
        self._refuse_waiting(taken)

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            connection = self._open()
        except Exception as error:
            self._on_loop(_fail, opened, translated(error, self._path))
            return
        self._on_loop(_succeed, opened)
        calls: list[Call] = []
        try:
            while calls := self._next_calls():
                self._on_loop(self._deliver, self._work_off(connection, calls))
        except BaseException as error:
            # A bug of ours. Whoever waits must hear it; nobody would ever answer them otherwise.
            self._gone = EngineUnavailable(f"the thread for {self._path} died: {error!r}; restart the server")
            self._on_loop(self._died, self._gone, calls)
        finally:
            connection.close()

    def _next_calls(self) -> list[Call]:
        """All calls that wait; waits for the first. Empty: the end."""
        calls: list[Call] = []
        call = self._calls.get()
        while call is not None and not self._dropping:
            calls.append(call)
            if len(calls) == MOST_AT_ONCE:
                return calls
            try:
                call = self._calls.get_nowait()
            except Empty:
                return calls
        if calls and not self._dropping:
            self._calls.put(None)  # the end, seen too early
            return calls
        return []

    def _on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # The loop was closed under us: nobody is left who waits.
            self._dropping = True

    def _refuse_waiting(self, taken: Sequence[Call] = ()) -> None:
        """On the loop: fail what nobody will do any more."""
        calls = list(taken)
        while not self._calls.empty():
            if (call := self._calls.get_nowait()) is not None:
                calls.append(call)
        for call in calls:
            Answer(call, error=EngineUnavailable(str(self._gone))).give()


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
