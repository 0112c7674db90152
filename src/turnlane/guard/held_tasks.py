"""Who holds a task and who waits for it, asked when something may have been left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import types
import weakref
from collections.abc import Iterator
from typing import Any, Final

from turnlane.guard.runs import Run, ToolCall

WAITERS: Final = 8
"""So many tasks that wait for each other are followed to find the outermost."""


def held(task: Any) -> bool:
    """Whether the program keeps `task`, or one that waits for it, somewhere: in a variable, a set, an object."""
    outermost = task
    for _ in range(WAITERS):
        waiter = waiter_of(outermost)
        if waiter is None:
            break
        outermost = waiter
    for callback in getattr(outermost, "_callbacks", None) or ():
        function = callback[0] if isinstance(callback, tuple) else callback
        if "run_until_complete" in getattr(function, "__qualname__", ""):
            return True  # its loop runs for this task alone, and may hold it where nobody can look
    if any(_in_group(one) for one in (task, outermost)):
        return True
    running = getattr(asyncio.tasks, "_current_tasks", None)
    for holder in gc.get_referrers(outermost):  # no closure here: it would hold the task itself
        if holder is not running and holder is not outermost.get_coro() and keeps(holder):
            return True
    return False


def _in_group(task: Any) -> bool:
    """Whether a task group waits for it."""
    for callback in getattr(task, "_callbacks", None) or ():
        function = callback[0] if isinstance(callback, tuple) else callback
        if any(type(part).__name__ == "TaskGroup" for part in _parts(function)):
            return True
    return False


def waiter_of(task: Any) -> Any:
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


_STEPS: Final = (Run, ToolCall, weakref.ref, types.FrameType, types.BuiltinMethodType, asyncio.Handle)
_MACHINERY: Final = ("TaskStepMethWrapper", "TaskWakeupMethWrapper", "Context", "hamt", "hamt_bitmap_node")


def keeps(holder: Any) -> bool:
    """Whether `holder` is a place where a program keeps things, rather than a step of the loop's own machinery."""
    if isinstance(holder, _STEPS) or type(holder).__name__ in _MACHINERY:
        return False
    module = getattr(type(holder), "__module__", "") or ""
    if module.partition(".")[0] in _LOOPS or module.startswith("turnlane.guard"):
        return False
    if isinstance(holder, types.MethodType) and holder.__func__.__module__ == "asyncio.tasks":
        return False  # a step of a task that is written in Python
    if isinstance(holder, types.CellType | types.MethodType):
        for outer in gc.get_referrers(holder):
            if isinstance(outer, types.FunctionType | tuple | dict | list | set):
                return True
        return False
    if isinstance(holder, types.CoroutineType):
        return holder.cr_frame is not None
    return isinstance(holder, _CONTAINERS) or hasattr(holder, "__dict__")


_LOOPS: Final = ("asyncio", "_asyncio", "uvloop", "anyio")
_CONTAINERS: Final = (dict, set, list, tuple, types.AsyncGeneratorType, types.GeneratorType)
