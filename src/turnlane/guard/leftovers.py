"""Runs that are left behind: their request is answered or their loop closes, and nobody waits for them (TL501)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import weakref
from collections import OrderedDict
from typing import Any, Final

from turnlane.guard import (
    answers,
    going_on,
    journals,
    left_threads,
    lost_updates,
    meetings,
    requests,
    retries,
    runs,
    stopped,
    tools,
    unawaited,
)
from turnlane.guard.held_tasks import held
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack
from turnlane.guard.thread_times import not_the_programs
from turnlane.guard.unawaited import Made

MAX_ALONE: Final = 256


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
    if run.parent is None and run.watched.role in _KINDS:
        left_threads.note(run)
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
    _tell(run, f"failed with {retries.name_of(run)}, which nobody has asked for", f"task {run.task_name}")


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
    if "left_behind" in run.notes:
        return
    with not_the_programs():
        where = _left_in(run)
    if where is not None:
        _tell(run, what, where)


def _left_in(run: Run) -> str | None:
    """The task or thread that nobody holds, in which a run goes on."""
    if run.task is not None and not held(run.task):
        return f"task {run.task_name}"
    return f"thread {run.thread}" if left_threads.is_left(run) else None


def _tell_unbegun(made: Made) -> None:
    made.begun = True  # told here, and not as one that was never awaited
    _report(made, f"{made.label} had not begun when its loop closed.", made.stack, None)


def _tell(run: Run, what: str, where: str) -> None:
    run.notes["left_behind"] = True
    message = f"{run.label} {what}, and nobody holds its {where}."
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
