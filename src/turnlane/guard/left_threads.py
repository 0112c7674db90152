"""Who waits for the thread in which a run goes on, when the request that has started it is answered (TL501)."""

from __future__ import annotations

import asyncio
import gc
import threading
import types
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.thread import _WorkItem
from typing import Any

from turnlane.guard import executors, requests
from turnlane.guard.executors import Carried
from turnlane.guard.held_tasks import held, keeps, waiter_of
from turnlane.guard.runs import Run


def note(run: Run) -> None:
    """Note with a run that begins in which thread it is, when a request has handed it to that thread."""
    thread: Any = executors.present()
    if thread is None and executors.was_handed_over():
        thread = threading.current_thread()
    if thread is not None and requests.current.get() is not None:
        run.notes["handed to"] = weakref.ref(thread)


def is_left(run: Run) -> bool:
    """Whether a run goes on in a thread of its own that nobody holds or waits for."""
    thread = run.notes.get("handed to", _nothing)()
    if thread is None or run.reader_left or not _is_all_there(run.task):
        return False
    if isinstance(thread, threading.Thread):
        return not any(keeps(holder) and not _is_threadings(holder) for holder in gc.get_referrers(thread))
    # A wait that has ended before the work is a cancel that does not end it (TL503).
    return thread.given_up is None and thread.timed_out is None and not _is_waited_for(thread)


def _nothing() -> None:
    return None


def _is_all_there(task: Any) -> bool:
    """Whether a thread runs its loop for this task alone; with a loop that goes on, others know of the thread."""
    return task is None or any("run_until_complete" in _name(callback) for callback in _callbacks(task))


def _callbacks(future: Any) -> Iterator[Any]:
    for callback in getattr(future, "_callbacks", None) or getattr(future, "_done_callbacks", None) or ():
        yield callback[0] if isinstance(callback, tuple) else callback


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", "")


def _is_threadings(holder: object) -> bool:
    """Whether it is what Python itself keeps of a thread while that runs."""
    if isinstance(holder, types.MethodType):
        return holder.__func__.__module__ == "threading"
    return holder is threading._active  # type: ignore[attr-defined]


def _is_waited_for(work: Carried) -> bool:
    """Whether somebody waits for the work of a pool's thread, listens for its end or keeps its future."""
    future = executors.future_of(work)
    if future is None or kept(future):
        return True
    if any(not _is_chain(callback) for callback in _callbacks(future)):
        return True
    for cell in tuple(_links(future)):  # noqa: SIM110 - a closure here would hold the future itself
        if _ties(cell, future) and _is_heard(cell.cell_contents):
            return True
    return False


def _is_heard(future: Any) -> bool:
    """Whether the program has, or waits for, a loop's future that a pool's future sets."""
    waiter = waiter_of(future)
    if waiter is not None:
        return held(waiter)
    return kept(future) or any(not _is_chain(callback) for callback in _callbacks(future))


def kept(future: Any) -> bool:
    """Whether the program keeps a future somewhere."""
    links = set(map(id, _links(future)))
    for cell in tuple(_links(future)):
        if _ties(cell, future):
            links.update(map(id, _links(cell.cell_contents)))
    holders = (holder for holder in gc.get_referrers(future) if id(holder) not in links)
    return any(keeps(holder) and not _is_pools(holder) for holder in holders)


def _ties(cell: Any, future: Any) -> bool:
    """Whether it holds a future that is tied to this one, as a loop's future to that of a pool."""
    return isinstance(cell.cell_contents, asyncio.Future | Future) and cell.cell_contents is not future


def _links(future: Any) -> Iterator[Any]:
    """What ties a future to another."""
    for callback in _callbacks(future):
        if _is_chain(callback):
            yield from callback.__closure__


def _is_chain(callback: Any) -> bool:
    return _name(callback).startswith("_chain_future.")


def _is_pools(holder: object) -> bool:
    """Whether a holder of a future is what its pool keeps while the work lasts."""
    return isinstance(holder, _WorkItem) or (isinstance(holder, dict) and isinstance(holder.get("fn"), Carried))
