"""Runs that are left behind: their request is answered or their loop closes, and nobody waits for them (TL501)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
import types
import weakref
from collections import OrderedDict
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
    unawaited,
)
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.unawaited import Made

MAX_ALONE: Final = 256
WAITERS: Final = 8
"""So many tasks that wait for each other are followed to find the outermost."""


_KINDS: Final = ("agent", "team", "chat")


def install() -> None:
    """Listen to runs, tools and requests, and to loops that cancel what is left in them."""
    going_on.install()
    lost_updates.install()
    stopped.install()
    runs.beginning.append(_began)
    runs.ending.extend((retries.ended, stopped.ended, answers.ended, _failed_alone))
    tools.ending.extend((stopped.tool_ended, answers.returned))
    requests.ending.append(_request_ended)
    replace(asyncio.runners, "_cancel_all_tasks", _before_cancelling)
    replace(asyncio.BaseEventLoop, "call_exception_handler", _before_handling)


def uninstall() -> None:
    """Forget what is remembered. For tests."""
    retries.forget()
    _alone.clear()


def _began(run: Run) -> None:
    """A run that begins when its request is answered already: its task was made, and nobody waited for it."""
    if run.request is not None and run.request.ended and run.watched.role != "client" and run.parent is None:
        _look(run, f"began after its request {run.request.name} had been answered")


def _request_ended(request: Request) -> None:
    for run in tuple(runs.going):
        if run.request is request and _is_outermost(run):
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


def process_ends() -> None:
    """The process ends, perhaps inside its loop, which nobody will close then."""
    with contextlib.suppress(RuntimeError):
        _closes(asyncio.get_running_loop())


def _closes(loop: Any) -> None:
    going_on.closing.add(id(loop))
    if sys.exc_info()[0] is not None:  # the program itself failed: that its tasks end with it is no news
        return
    _unasked()
    for task in asyncio.all_tasks(loop):
        made = unawaited.waiting(task.get_coro())
        if made is not None and not held(task):
            _tell_unbegun(made)
    for run in _outermost():
        if run.loop is loop and run.task is not None and not run.asked_to_stop:
            _look(run, "was still going on when its loop closed, and was cancelled there")


_alone: OrderedDict[int, tuple[Run, weakref.ref[Any]]] = OrderedDict()
"""By the identity of their task: runs that failed where nobody waits; told when nobody asks for the error."""


def _failed_alone(run: Run) -> None:
    if run.outcome != "failed" or run.parent is not None or run.watched.role not in _KINDS or run.task is None:
        return
    if getattr(run.task, "_callbacks", None) or held(run.task):
        return
    _alone[id(run.task)] = run, weakref.ref(run.task)
    if len(_alone) > MAX_ALONE:
        _alone.popitem(last=False)


def _before_handling(original: Any) -> Any:
    @functools.wraps(original)
    def call_exception_handler(self: Any, context: dict[str, Any]) -> Any:
        task = context.get("future")
        run, _ = _alone.pop(id(task), (None, None))
        if run is not None and isinstance(task, asyncio.Task) and task.get_name() == run.task_name:
            _tell_failed(run)
        return original(self, context)

    return call_exception_handler


def _tell_failed(run: Run) -> None:
    _tell(run, f"failed with {retries.name_of(run)}, which nobody has asked for")


def _unasked() -> None:
    """At a loop's end: errors that are in no hurry to be collected."""
    for identity, (run, ref) in tuple(_alone.items()):
        task = ref()
        if task is not None and getattr(task, "_log_traceback", False):
            del _alone[identity]
            _tell_failed(run)


def _outermost() -> list[Run]:
    return [run for run in tuple(runs.going) if _is_outermost(run)]


def _is_outermost(run: Run) -> bool:
    return run.running and run.watched.role in _KINDS and run.parent is None


def _look(run: Run, what: str) -> None:
    if run.task is None or "left_behind" in run.notes or held(run.task):
        return
    _tell(run, what)


def _tell_unbegun(made: Made) -> None:
    made.begun = True  # told here, and not as one that was never awaited
    _report(made, f"{made.label} had not begun when its loop closed.", made.stack, None)


def _tell(run: Run, what: str) -> None:
    run.notes["left_behind"] = True
    message = f"{run.label} {what}, and nobody holds its task {run.task_name}."
    _report(run, message, run.place_stack, run.task_name)


def _report(left: Run | Made, message: str, stack: Stack, task: str | None) -> None:
    journals.report_aside(
        Sighting(
            code="TL501",
            message=message,
            stack=stack,
            stacks=meetings.with_stacks(("the run", left.stack)),
            object=left.label,
            request=left.request.id if left.request else None,
            conversation=left.request.conversation if left.request else None,
            task=task,
        )
    )


def held(task: Any) -> bool:
    """Whether the program keeps `task`, or one that waits for it, somewhere: in a variable, a set, an object."""
    outermost = task
    for _ in range(WAITERS):
        waiter = _waiter(outermost)
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
