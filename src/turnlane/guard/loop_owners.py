"""Which loop runs in which thread, and who started it: the first half of "first owner here, second here"."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from turnlane.guard import journals, requests
from turnlane.guard.stacks import NO_STACK, Stack


class Owner:
    """One loop while it runs, and what is remembered of it afterwards.

    Attributes:
        loop: the loop.
        stack: who started it; empty when it ran before the guard came.
        thread: the identity of the thread that it runs in; `thread_name` is for people.
        native: the same thread for the operating system.
        pid: the process.
        by_runner: whether `asyncio.run` (or a runner) started it, which ends and closes it too.
        of_one_request: whether it was started for one request, as by a view that is no coroutine.
    """

    __slots__ = ("by_runner", "loop", "native", "of_one_request", "pid", "stack", "thread", "thread_name")

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: Stack) -> None:
        self.loop = weakref.ref(loop)
        self.stack = stack
        self.pid = os.getpid()
        self.thread = threading.get_ident()
        self.native = threading.get_native_id()
        self.thread_name = threading.current_thread().name
        self.by_runner = any(code.co_qualname == "Runner.run" for code, _ in stack[:8])
        self.of_one_request = self.by_runner and requests.current.get() is not None

    @property
    def in_main_thread(self) -> bool:
        """Whether it runs in the thread that started the program."""
        return self.thread == threading.main_thread().ident

    @property
    def who(self) -> str:
        """For people."""
        return f"thread {self.thread_name}"


_known: weakref.WeakKeyDictionary[Any, Owner] = weakref.WeakKeyDictionary()
_running: dict[int, list[Owner]] = {}
started: Final[list[Callable[[Owner], None]]] = []
"""Called with each loop that begins to run, in its thread."""
stopping: Final[list[Callable[[Owner], None]]] = []
"""Called with each loop that has stopped running, in its thread."""


def begins(loop: asyncio.AbstractEventLoop, stack: Stack) -> Owner:
    """`loop` begins to run in this thread."""
    owner = Owner(loop, stack)
    _known[loop] = owner
    _running.setdefault(owner.thread, []).append(owner)
    _tell(started, owner)
    return owner


def ends(owner: Owner) -> None:
    """It has stopped."""
    here = _running.get(owner.thread, [])
    if owner in here:
        here.remove(owner)
    if not here:
        _running.pop(owner.thread, None)
    _tell(stopping, owner)


def _tell(listeners: list[Callable[[Owner], None]], owner: Owner) -> None:
    for listener in listeners:
        try:
            listener(owner)
        except Exception as error:  # such as a thread that the system refuses
            journals.trouble("event loop", error)


def owner_of(loop: asyncio.AbstractEventLoop | None) -> Owner | None:
    """Who runs `loop`, or ran it last."""
    return _known.get(loop) if loop is not None else None


def running() -> list[Owner]:
    """Every loop that runs now, in any thread."""
    return [owner for owners in tuple(_running.values()) for owner in tuple(owners)]


def owner_here() -> Owner | None:
    """Who runs the loop of this thread; None when none runs."""
    loop = asyncio._get_running_loop()
    if loop is None:
        return None
    return owner_of(loop) or Owner(loop, NO_STACK)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook: then the notebook owns the loop."""
    application = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    return application is not None and bool(application.initialized())


def forked() -> None:
    """In a child after a fork: only the thread that forked is left, and its loop does not go on here."""
    _running.clear()
