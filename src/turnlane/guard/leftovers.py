"""Runs that are left behind: their request is answered or their loop closes, and nobody waits for them (TL501)."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any, Final

from turnlane.guard import (
    answers,
    going_on,
    journals,
    lost_updates,
    meetings,
    requests,
    retries,
    runs,
    stopped,
    tools,
)
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run, ToolCall

WAITERS: Final = 8
"""So many tasks that wait for each other are followed to find the outermost."""


def install() -> None:
    """Listen to runs, tools and requests, and to loops that cancel what is left in them."""
    going_on.install()
    lost_updates.install()
    runs.beginning.append(_began)
    runs.ending.extend((retries.ended, stopped.ended, answers.ended))
    tools.ending.extend((stopped.tool_ended, answers.returned))
    requests.ending.append(_request_ended)
    replace(asyncio.runners, "_cancel_all_tasks", _before_cancelling)


def uninstall() -> None:
    """Forget what is remembered. For tests."""
    retries.forget()


def _began(run: Run) -> None:
    """A run that begins when its request is answered already: its task was made, and nobody waited for it."""
    if run.request is not None and run.request.ended and run.watched.role != "client" and run.parent is None:
        _look(run, f"began after its request {run.request.name} had been answered")


def _request_ended(request: Request) -> None:
    for run in _outermost():
        if run.request is request:
            _look(run, f"still goes on, though its request {request.name} has been answered")


def _before_cancelling(original: Any) -> Any:
    @functools.wraps(original)
    def _cancel_all_tasks(loop: Any) -> Any:
        try:
            _closes(loop)
        except Exception as error:
            journals.trouble("loop close", error)
        try:
            return original(loop)
        finally:
            going_on.closing.discard(id(loop))

    return _cancel_all_tasks


def _closes(loop: Any) -> None:
    going_on.closing.add(id(loop))
    if sys.exc_info()[0] is not None:  # the program itself failed: that its tasks end with it is no news
        return
    for run in _outermost():
        if run.loop is loop and run.task is not None and not run.asked_to_stop:
            _look(run, "was still going on when its loop closed, and was cancelled there")


def _outermost() -> list[Run]:
    return [
        run
        for run in tuple(runs.going)
        if run.running and run.watched.role in ("agent", "team", "chat") and run.parent is None
    ]


def _look(run: Run, what: str) -> None:
    if run.task is None or "left_behind" in run.notes or held(run.task):
        return
    run.notes["left_behind"] = True
    journals.report_aside(
        Sighting(
            code="TL501",
            message=f"{run.label} {what}, and nobody holds its task {run.task_name}.",
            stack=run.place_stack,
            stacks=meetings.with_stacks(("the run", run.stack)),
            object=run.label,
            request=run.request.id if run.request else None,
            conversation=run.request.conversation if run.request else None,
            task=run.task_name,
        )
    )


def held(task: Any) -> bool:
    """Whether the program keeps `task`, or a task that waits for it, somewhere: in a variable, a set, an object."""
    outermost = task
    for _ in range(WAITERS):
        waiter = _waiter(outermost)
        if waiter is None:
            break
        outermost = waiter
    running = getattr(asyncio.tasks, "_current_tasks", None)
    ignored = {id(outermost.get_coro()), id(sys._getframe()), id(running)}
    return any(id(holder) not in ignored and _keeps(holder, outermost) for holder in gc.get_referrers(outermost))


def _waiter(task: Any) -> Any:
    """The task that waits for this one: with `await`, `gather`, `wait_for`."""
    futures, seen = [task], set()
    while futures:
        future = futures.pop()
        if id(future) in seen:
            continue
        seen.add(id(future))
        for callback in getattr(future, "_callbacks", None) or ():
            function = callback[0] if isinstance(callback, tuple) else callback
            for part in _parts(function):
                if isinstance(part, asyncio.Task) and part is not task:
                    return part
                if isinstance(part, asyncio.Future):
                    futures.append(part)
    return None


def _parts(function: Any) -> Iterator[Any]:
    """What a callback of a future belongs to: a task that wakes up, a future that is set by it, a group."""
    if isinstance(function, functools.partial):
        yield from function.args
        function = function.func
    owner = getattr(function, "__self__", None)
    if owner is not None:
        yield owner
        yield getattr(owner, "_parent_task", None)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def _keeps(holder: Any, task: Any) -> bool:
    """Whether `holder` is a place where a program keeps things, rather than a step of the loop's own machinery."""
    if isinstance(
        holder, Run | ToolCall | weakref.ref | types.FrameType | types.BuiltinMethodType | asyncio.Handle
    ):
        return False
    module = getattr(type(holder), "__module__", "") or ""
    if module.startswith(("asyncio", "_asyncio", "uvloop", "turnlane.guard")):
        return False
    if isinstance(holder, types.CellType | types.MethodType):
        return any(_keeps(outer, holder) for outer in gc.get_referrers(holder))
    if type(holder).__name__ in (
        "TaskStepMethWrapper",
        "TaskWakeupMethWrapper",
        "Context",
        "hamt",
        "hamt_bitmap_node",
    ):
        return False
    if isinstance(holder, types.CoroutineType):
        return holder.cr_frame is not None and holder is not task.get_coro()
    return isinstance(
        holder, dict | set | list | tuple | types.AsyncGeneratorType | types.GeneratorType
    ) or hasattr(holder, "__dict__")
