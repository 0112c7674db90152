"""The loop's own thread waits for what only the loop can do (TL110). Told before it blocks."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import concurrent.futures
import concurrent.futures._base
import concurrent.futures.thread
import functools
import os
import threading
import weakref
from collections.abc import Iterable, MutableMapping
from concurrent.futures import Future
from typing import Any

from turnlane.guard import executors, journals, loop_owners, requests, stacks, unawaited
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.patching import replace
from turnlane.guard.stacks import Stack

_handed: weakref.WeakKeyDictionary[Any, tuple[Any, Stack]] = weakref.WeakKeyDictionary()
"""Futures of coroutines that were handed to a loop from outside: the loop, and who handed them over."""
_held_up: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""Futures whose thread waits now for a future of a loop: that future."""
_waiting: dict[int, Any] = {}
"""What the thread of a running loop waits for now, by the loop's identity."""
_work = threading.local()
deadlocked: set[int] = set()
"""Identities of loops that have been told of: that they stand still is no second mistake."""


def install() -> None:
    """Watch the hand-over and the waits."""
    _patch_hand_over()
    for name in ("result", "exception"):
        replace(Future, name, _watched_wait)
    for module in (concurrent.futures._base, concurrent.futures):
        replace(module, "wait", _watched_wait_many)
    replace(concurrent.futures.thread._WorkItem, "run", _watched_work)


def _patch_hand_over() -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def run_coroutine_threadsafe(coro: Any, loop: Any) -> Any:
            _look_after_fork(coro, loop)
            future = original(coro, loop)
            _handed[future] = (weakref.ref(loop), stacks.capture())
            return future

        return run_coroutine_threadsafe

    wrapped = make(asyncio.run_coroutine_threadsafe)
    for module in (asyncio.tasks, asyncio):
        replace(module, "run_coroutine_threadsafe", lambda _: wrapped)


def _look_after_fork(coro: Any, loop: Any) -> None:
    """A fork copies a loop, but not the thread that runs it: what is handed to it in the child is never done."""
    try:
        owner = loop_owners.owner_of(loop)
        if owner is None or owner.pid == os.getpid() or not loop.is_running():
            return
        unawaited.excuse(coro)
        journals.report(_left_behind(owner, stacks.capture()))
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("hand-over after a fork", error)


def _left_behind(owner: loop_owners.Owner, stack: Stack) -> Sighting:
    request = requests.current.get()
    return Sighting(
        code="TL605" if journals.where_is("preload") else "TL301",
        message=f"A coroutine is handed to an event loop that was started in process {owner.pid} before it "
        f"forked: the thread that ran the loop does not exist in process {os.getpid()}, so it never runs.",
        stack=stack,
        stacks=with_stacks(("handed over here", stack), ("the loop was started here", owner.stack)),
        object="event loop",
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        fix="Start the loop, its thread and the clients in each worker, after the fork.",
    )


def _watched_wait(original: Any) -> Any:
    @functools.wraps(original)
    def waits(self: Any, timeout: Any = None) -> Any:
        if self._state in ("FINISHED", "CANCELLED", "CANCELLED_AND_NOTIFIED") or timeout == 0:
            return original(self, timeout)
        _look((self,))
        mine = _begin(self)
        try:
            return original(self, timeout)
        except TimeoutError:
            executors.timed_out(self)
            raise
        finally:
            _end(mine)

    return waits


def _watched_wait_many(original: Any) -> Any:
    @functools.wraps(original)
    def wait(fs: Any, *args: Any, **kwargs: Any) -> Any:
        kept = set(fs)
        _look(future for future in kept if not future.done())
        return original(kept, *args, **kwargs)

    return wait


def _watched_work(original: Any) -> Any:
    @functools.wraps(original)
    def run(self: Any, *args: Any) -> Any:
        before, _work.future = getattr(_work, "future", None), weakref.ref(self.future)
        try:
            return original(self, *args)
        finally:
            _work.future = before

    return run


def _works_for() -> Any:
    """The future whose work this thread does now; not held, since who holds it is somebody who may come for it."""
    reference = getattr(_work, "future", None)
    return reference() if reference is not None else None


def _begin(future: Any) -> tuple[MutableMapping[Any, Any], Any] | None:
    """This thread waits for `future` now; what must be taken back afterwards."""
    loop = asyncio._get_running_loop()
    if loop is not None:
        _waiting[id(loop)] = future
        return _waiting, id(loop)
    work = _works_for()
    if work is not None and future in _handed:
        _held_up[work] = future
        return _held_up, work
    return None


def _end(mine: tuple[MutableMapping[Any, Any], Any] | None) -> None:
    if mine is not None:
        mine[0].pop(mine[1], None)


def _look(futures: Iterable[Any]) -> None:
    try:
        for future in futures:
            if (sighting := _deadlock(future)) is not None:
                journals.report(sighting)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("wait for a future", error)


def _deadlock(future: Any) -> Sighting | None:
    handed = _handed.get(future)
    here = asyncio._get_running_loop()
    if handed is not None:
        loop = handed[0]()
        if loop is not None and loop is here:
            return _told(
                future, handed[1], "The loop's own thread waits for a coroutine that was handed to this loop"
            )
        if here is None and loop is not None and _waits_for_me(loop):
            return _told(future, handed[1], "The loop waits for this thread, and this thread waits for the loop")
    elif here is not None and (other := _held_up.get(future)) is not None:
        loop, stack = _handed.get(other, (lambda: None, ()))
        if loop() is here:
            return _told(future, stack, "The loop's thread waits for another thread, which waits for this loop")
    return None


def _waits_for_me(loop: Any) -> bool:
    waited = _waiting.get(id(loop))
    return waited is not None and waited is _works_for()


def _told(future: Any, handed: Stack, what: str) -> Sighting:
    stack = stacks.capture(3)
    owner = loop_owners.owner_here()
    loop = _handed[future][0]() if future in _handed else asyncio._get_running_loop()
    deadlocked.add(id(loop))
    request = requests.current.get()
    return Sighting(
        code="TL110",
        message=f"{what}: the loop cannot run it while it is waited for, so neither ever ends.",
        stack=stack,
        stacks=with_stacks(
            ("waits here", stack),
            ("the coroutine was handed to the loop here", handed),
            ("the loop was started here", owner.stack if owner else ()),
        ),
        request=request.id if request else None,
        conversation=request.conversation if request else None,
    )
