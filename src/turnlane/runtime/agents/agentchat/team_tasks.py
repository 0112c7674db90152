"""The tasks that teams run beside their stream, and how they are ended.

A team's stream is only the reader of a queue: its agents run as tasks of the team's runtime, which nothing
cancels, and the stream's end waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from autogen_agentchat.base import Team
from autogen_core import CancellationToken

from turnlane.runtime.agent import Run

STEP = 0.1
"""Seconds that a stopped run gets to end by itself before it is pushed, and between two pushes.

First only what waits for a model, a tool or an agent is ended (`Run.stoppable`), and the team ends by that
error in its own way. Cancelling all at once would cancel answers that the runtime is about to give, which it
does not survive: it would wait for ever.
"""

_ROUNDS = 5


class Halt:
    """Ends the reading of a stream, and the teams behind it, once the run is stopped or has failed."""

    def __init__(self, run: Run, teams: Sequence[Team], token: CancellationToken) -> None:
        self._run = run
        self._teams = teams
        self._token = token
        self._pushes = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, the current task reads the stream. Raises TurnStopped if the run was stopped meanwhile."""
        self._run.stop.check()
        task = asyncio.current_task()
        assert task is not None, "a run lives on the event loop"
        forget = self._run.stop.on_set(lambda: self._push_later(task))
        try:
            yield
        except (Exception, asyncio.CancelledError):
            # What comes up is the stop in the framework's words, or a push of ours.
            self._run.stop.check()
            raise
        finally:
            forget()
            if self._timer is not None:
                self._timer.cancel()
            for _ in range(self._pushes):
                task.uncancel()
        self._run.stop.check()

    def failed(self) -> None:
        """An agent of a team failed. The team ends by it, but only when its other branches have ended too."""
        if self._timer is None and not self._run.stop:
            self._timer = asyncio.get_running_loop().call_later(STEP, self._cancel_tasks)

    def _push_later(self, task: asyncio.Task[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(STEP, self._push, task)

    def _push(self, task: asyncio.Task[Any]) -> None:
        self._token.cancel()
        self._cancel_tasks()
        self._pushes += 1
        task.cancel()
        self._push_later(task)

    def _cancel_tasks(self) -> None:
        for pending in running_tasks(self._teams):
            pending.cancel()


async def end_tasks(teams: Sequence[Team]) -> None:
    """Cancel what the teams' runtimes still run, such as the other branches of a graph after an error."""
    for _ in range(_ROUNDS):
        pending = running_tasks(teams)
        if not pending:
            return
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=STEP)


def push(run: asyncio.Future[Any], rounds: int = _ROUNDS) -> None:
    """Cancel a run of an agent or team until it ends: a team's stream waits once more after the first time."""
    if rounds and not run.done():
        run.cancel()
        asyncio.get_running_loop().call_later(STEP, push, run, rounds - 1)


async def branches_ended(teams: Sequence[Team]) -> None:
    """Wait until the tasks of the teams have ended by themselves."""
    while pending := running_tasks(teams):
        await asyncio.wait(pending)


def running_tasks(teams: Sequence[Team]) -> set[asyncio.Task[Any]]:
    """The tasks of the teams' runtimes, the present one not among them."""
    present = asyncio.current_task()
    found: set[asyncio.Task[Any]] = set()
    for team in teams:
        runtime = getattr(team, "_runtime", None)
        found.update(getattr(runtime, "_background_tasks", ()))
        found.add(getattr(getattr(runtime, "_run_context", None), "_run_task", None))  # type: ignore[arg-type]
    return {task for task in found if task is not None and task is not present and not task.done()}


async def read_all(stream: AsyncGenerator[Any, None], take: Callable[[Any], None]) -> None:
    """Read a stream to its end, and close it also when taking fails."""
    try:
        async for message in stream:
            take(message)
    finally:
        await stream.aclose()
