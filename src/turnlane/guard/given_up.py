"""Work in a thread that goes on after the wait for it was given up: a thread cannot be stopped (TL503)."""

from __future__ import annotations

import asyncio
import functools
import time
import weakref
from concurrent.futures import Future
from types import ModuleType
from typing import Any, Final

from turnlane.guard import (
    executors,
    going_on,
    journals,
    late_effects,
    left_threads,
    meetings,
    requests,
    runs,
    stacks,
)
from turnlane.guard.executors import Carried
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request
from turnlane.guard.stacks import NO_STACK

NOTICED_WITHIN: Final = 0.1
"""Seconds that a thread may take to hear that it is to stop."""


def install() -> None:
    """Watch how waits for threads end."""
    replace(Future, "cancel", _gives_up)
    when_imported("anyio._backends._asyncio", _anyio)


def asked() -> None:
    """A model is asked, for the first time in its call."""
    work = executors.present()
    if work is None:
        return
    work.asked += 1
    if work.timed_out is not None and _nobody_comes_back(*work.timed_out[:2]):
        work.given_up, work.timed_out = work.timed_out[2], None
    # One that a framework hands over for each single call asks no more than what was on its way.
    if work.given_up is not None and work.asked > 1 and time.monotonic() - work.given_up > NOTICED_WITHIN:
        work.given_up = None  # told once
        journals.report_aside(_sighting(work))


def _gives_up(original: Any) -> Any:
    """A time-out cancels the future of the thread's work; one that runs already goes on."""

    @functools.wraps(original)
    def cancel(self: Any) -> Any:
        cancelled = original(self)
        work = None if cancelled else executors.work_of(self)
        if work is not None:
            _mark(work)
        return cancelled

    return cancel


def _nobody_comes_back(reference: weakref.ref[Any], request: Request | None) -> bool:
    """Whether the request is answered that has waited for a future in vain, and nobody keeps that future."""
    future = reference()
    if future is None or request is None or not request.ended:
        return False
    return not left_threads.kept(future)


def _anyio(module: ModuleType) -> None:
    backend = getattr(module, "AsyncIOBackend", None)
    if backend is not None:
        replace(backend, "run_sync_in_worker_thread", _waits)


def _waits(original: Any) -> Any:
    @functools.wraps(original)
    async def run_sync_in_worker_thread(cls: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        work = Carried(func, executors.carried(), NO_STACK)
        try:
            return await original(cls, work, *args, **kwargs)
        except asyncio.CancelledError:
            _mark(work)
            raise

    return run_sync_in_worker_thread


def _mark(work: Carried) -> None:
    if id(asyncio._get_running_loop()) in going_on.closing:
        return
    work.given_up = time.monotonic()
    try:
        late_effects.left_alone(work)
    except Exception as error:
        journals.trouble("thread", error)


def _sighting(work: Carried) -> Sighting:
    run, request = runs.enclosing(), requests.current.get()
    stack = stacks.capture()
    return Sighting(
        code="TL503",
        message="Nobody waits any more for the work of a thread, which cannot be stopped from outside: it asks "
        "the model again.",
        stack=run.place_stack if run is not None else stack,
        stacks=meetings.with_stacks(("handed over here", work.stack), ("a model call after that", stack)),
        object=run.label if run is not None else "",
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        fix="Use the async form, which a time-out ends, or let the thread ask whether it is still wanted.",
    )
