"""One transaction for all calls that wait: group commit, and what happens when the database is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from turnlane.runtime.engine import EngineUnavailable
from turnlane.runtime.engines.postgres.connection import (
    Connection,
    Link,
    explain,
    is_outage,
    is_worth_another_try,
    pause_after,
)

MOST_AT_ONCE: Final = 500
"""Calls in one transaction."""

TRIES: Final = 10
"""How often a call is tried that others are in the way of."""

Effect: TypeAlias = Callable[[], object]
"""What is done on the loop after a commit."""


@dataclass(eq=False)
class Call:
    """Something to be done in a transaction. `what` says what; the handler of its `Batches` knows how."""

    what: Any
    answer: asyncio.Future[Any]
    give_up_at: float | None
    """On the clock of `time.monotonic`; None: it waits for the database as long as it takes."""
    tries: int = 0
    """Above 0 it may have been done already: the connection broke, perhaps after the commit."""

    def succeed(self, value: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(value)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # Whoever asked may be gone; asyncio must not complain of that.
            self.answer.exception()


Handler: TypeAlias = Callable[[Connection, Sequence[Call]], Awaitable[list[Effect]]]
"""Does the calls in an open transaction. What callers are told must be among the effects: they happen after the
commit, or never. A call is refused by an effect too; an error that is raised undoes the calls of the batch."""


@dataclass
class Batches:
    """A queue of calls with one connection.

    Args:
        idle_work: whether the handler has something to do without any call.
        broken: called when the database went away in the middle; what was done may have been committed or not.
        patience: seconds that a call waits for a database that is away; None: as long as it takes.
    """

    name: str
    url: str
    link: Link
    handler: Handler
    idle_work: Callable[[], bool] = lambda: False
    broken: Callable[[], object] = lambda: None
    patience: float | None = None
    transactions: int = 0
    operations: int = 0
    _waiting: list[Call] = field(default_factory=list)
    _in_hand: list[Call] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _closed: EngineUnavailable | None = None
    _finishing: bool = False

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"turnlane postgres {self.name}")

    def submit(self, what: Any) -> asyncio.Future[Any]:
        """The future of its answer. Calls are done in the order in which they were submitted."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        give_up_at = None if self.patience is None else time.monotonic() + self.patience
        call = Call(what, answer, give_up_at)
        if self._closed is not None or self._finishing:
            call.fail(self._closed or EngineUnavailable("the engine is closing"))
        else:
            self._waiting.append(call)
            self._wake.set()
        return answer

    def wake(self) -> None:
        """There may be idle work."""
        self._wake.set()

    async def finish(self, patience: float = 10.0) -> None:
        """Do what waits, as far as the database lets us in so many seconds, and take no more."""
        self._finishing = True
        self._wake.set()
        if self._task is not None and self._closed is None:
            await asyncio.wait({self._task}, timeout=patience)

    async def close(self, reason: EngineUnavailable) -> None:
        """Stop now; whoever still waits is told `reason`."""
        self._closed = reason
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        for call in (*self._in_hand, *self._waiting):
            call.fail(EngineUnavailable(str(reason)))
        self._in_hand, self._waiting = [], []
        await self.link.close()

    # --- inside ---

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or (self.idle_work() and not self._finishing):
                self._in_hand, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._do(self._in_hand)
                self._in_hand = []
            if self._finishing:
                return

    async def _do(self, calls: list[Call]) -> None:
        """Do the calls, however often it takes; each is answered in the end."""
        failures = 0
        while True:
            try:
                effects = await self._together(calls)
            except Exception as error:
                failures += 1
                for call in calls:
                    call.tries += 1
                if is_outage(error):
                    self.broken()
                    calls[:] = self._with_patience(calls, error)
                    if self._finishing:
                        _fail_all(calls, explain(error, self.url))
                        return
                    await asyncio.sleep(pause_after(failures))
                    if not calls:
                        return
                elif len(calls) > 1:
                    for call in list(calls):
                        await self._do([call])
                    return
                elif not (is_worth_another_try(error) and failures < TRIES):
                    _fail_all(calls, error)
                    if not calls:
                        _complain(f"a {self.name} batch of PostgreSQL failed without a call", error)
                    return
            else:
                for effect in effects:
                    self._apply(effect)
                return

    def _apply(self, effect: Effect) -> None:
        """An error of ours in one must not keep the others, and all batches after this one, from happening."""
        try:
            effect()
        except Exception as error:
            _complain(f"what follows from a {self.name} batch of PostgreSQL failed", error)

    async def _together(self, calls: Sequence[Call]) -> list[Effect]:
        async with self.link.use() as connection:
            if not calls:
                # Idle work is one statement, which is a transaction by itself.
                return await self.handler(connection, calls)
            async with connection.transaction():
                effects = await self.handler(connection, calls)
            self.transactions += 1
            self.operations += len(calls)
            return effects

    def _with_patience(self, calls: Sequence[Call], error: BaseException) -> list[Call]:
        now = time.monotonic()
        patient = [call for call in calls if call.give_up_at is None or now < call.give_up_at]
        _fail_all([call for call in calls if call not in patient], explain(error, self.url))
        return patient


def _fail_all(calls: Sequence[Call], error: BaseException) -> None:
    for call in calls:
        call.fail(error)


def _complain(what: str, error: Exception) -> None:
    """A bug of ours that no caller would hear of."""
    asyncio.get_running_loop().call_exception_handler({"message": f"turnlane: {what}", "exception": error})
