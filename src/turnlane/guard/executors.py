"""Whose work a thread does: the current request, run and tool of the guard travel with what is handed to a thread.

Only these: the program's own context variables go where Python lets them go, and nowhere else.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import functools
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Final

from turnlane.guard import journals, requests, runs, stacks
from turnlane.guard.journal import HazardError
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request
from turnlane.guard.stacks import NO_STACK, Stack

MAX_FRAMES: Final = 12

_TRAVELLING: Final[tuple[ContextVar[Any], ...]] = (requests.current, runs.current, runs.current_tool)
_present = threading.local()
_starting: dict[int, tuple[Any, ...]] = {}
"""What travels to a thread that is being started, by the identity of its object."""


def handed_over() -> Stack:
    """Who handed over what runs in this thread; only known within somebody's work.

    Of the thread, not of the context: what is handed over often runs in a context that was copied before.
    """
    work = present()
    return NO_STACK if work is None else work.stack


def present() -> Carried | None:
    """What this thread works on now, if it was handed over."""
    return getattr(_present, "work", None)


def was_handed_over() -> bool:
    """Whether somebody's work has started this thread."""
    return getattr(_present, "started", False)


def install() -> None:
    """Watch the hand-over to threads."""
    replace(ThreadPoolExecutor, "submit", _watched_submit)
    replace(threading.Thread, "start", _watched_start)
    replace(threading.Thread, "_bootstrap_inner", _watched_bootstrap)


def carried() -> tuple[Any, ...] | None:
    """What must travel from here; None when there is nothing."""
    values = tuple(variable.get() for variable in _TRAVELLING)
    return values if any(value is not None for value in values) else None


class Carried:
    """A function that is handed to a thread, with whose work it is.

    Attributes:
        values: what travels with it; None where it is nobody's work.
        stack: who handed it over.
        asked: how often it has asked a model.
        given_up: since when whoever waited for it does so no more, on the monotonic clock.
        left: the tool call that it does then.
        thread: where it is done.
        timed_out: a wait for it that has ended before it: the future, for whose request, and when.
    """

    __slots__ = (
        "__weakref__", "__wrapped__", "asked", "function", "given_up", "left", "stack", "thread", "timed_out",
        "values",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], values: tuple[Any, ...] | None, stack: Stack) -> None:
        self.function = self.__wrapped__ = function
        self.values = values
        self.stack = stack
        self.asked = 0
        self.given_up: float | None = None
        self.left: Any = None
        self.thread = 0
        self.timed_out: tuple[weakref.ref[Any], Request | None, float] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        travelling = () if self.values is None else zip(_TRAVELLING, self.values, strict=True)
        tokens = [(variable, variable.set(value)) for variable, value in travelling]
        before, _present.work = present(), self
        self.thread = threading.get_ident()
        try:
            result = self.function(*args, **kwargs)
            if self.left is not None:
                _tell_of(self)
            return result
        finally:
            _present.work = before
            for variable, token in tokens:
                with contextlib.suppress(ValueError):
                    variable.reset(token)


ending: list[Callable[[Carried], None]] = []
"""Called in the thread when work has been done well that nobody waits for any more."""


def _tell_of(work: Carried) -> None:
    for listener in ending:
        try:
            listener(work)
        except HazardError:
            raise
        except Exception as error:
            journals.trouble("thread", error)


_works: weakref.WeakKeyDictionary[Any, weakref.ref[Carried]] = weakref.WeakKeyDictionary()


def work_of(future: Any) -> Carried | None:
    """The work in a pool's thread that a future stands for, while there is some left."""
    found = _works.get(future)
    return found() if found is not None else None


def future_of(work: Carried) -> Any:
    """The future that stands for work in a pool's thread; None when it is gone."""
    return next((future for future, found in tuple(_works.items()) if found() is work), None)


def works_of(call: object) -> list[Carried]:
    """The work in pools' threads that a tool call has handed over and that goes on."""
    found = (reference() for reference in tuple(_works.values()))
    return [work for work in found if work is not None and work.values is not None and call in work.values]


def timed_out(future: Any) -> None:
    """A wait for the work of a pool's thread has ended before the work: who waited may wait again."""
    work = work_of(future) if not future.done() else None
    if work is not None:
        work.timed_out = weakref.ref(future), requests.current.get(), time.monotonic()


def _watched_submit(original: Any) -> Any:
    @functools.wraps(original)
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        values = carried()
        work = Carried(fn, values, NO_STACK if values is None else stacks.capture(limit=MAX_FRAMES))
        future = original(self, work, *args, **kwargs)
        _works[future] = weakref.ref(work)
        return future

    return submit


def _watched_start(original: Any) -> Any:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        values = carried()
        if values is not None and not _serves_many(self):
            _starting[id(self)] = values
        try:
            return original(self)
        finally:
            _starting.pop(id(self), None)

    return start


def _watched_bootstrap(original: Any) -> Any:
    @functools.wraps(original)
    def _bootstrap_inner(self: Any) -> Any:
        values = _starting.pop(id(self), None)
        _present.started = values is not None
        context = getattr(self, "_context", None)  # Python 3.14: what the thread's function runs in
        if values is not None and context is not None:
            context.run(_set, values)
        elif values is not None:
            _set(values)
        return original(self)

    return _bootstrap_inner


def _set(values: tuple[Any, ...]) -> None:
    for variable, value in zip(_TRAVELLING, values, strict=True):
        variable.set(value)


def _serves_many(thread: Any) -> bool:
    target = getattr(thread, "_target", None)
    if target is concurrent.futures.thread._worker or isinstance(
        getattr(target, "__self__", None), asyncio.AbstractEventLoop
    ):
        return True
    kind = type(thread)
    return kind is not threading.Thread and kind.__module__.partition(".")[0] in ("anyio", "concurrent", "asgiref")
