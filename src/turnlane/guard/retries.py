"""Runs that failed and are done again with the same text: which of them are blind retries (TL304)."""

from __future__ import annotations

import asyncio
import re
import time
import weakref
from collections import OrderedDict, deque
from typing import Any, Final

from turnlane.guard.failures import causes
from turnlane.guard.runs import Run

KEPT: Final = 512
WITHIN: Final = 600.0
"""Seconds after which the same text is a new question rather than a retry."""

TRANSIENT: Final = re.compile(
    r"RateLimit|InternalServer|ServiceUnavailable|Timeout|APIConnection|ConnectError|ConnectionError|ConnectionReset"
    r"|RemoteProtocol|ReadError|Overloaded|\b(?:408|409|429|5\d\d)\b"
)
"""In the type or the text of an exception that may be gone the next time."""

OTHER_LOOP: Final = re.compile(r"Event loop is closed|different (?:event )?loop|attached to a different")

_failed: OrderedDict[Any, deque[Attempt]] = OrderedDict()


class Attempt:
    """A run that failed, without anything of the program's that would be kept alive by it."""

    __slots__ = ("error", "run", "task", "tools", "transient", "when")

    def __init__(self, run: Run, error: BaseException) -> None:
        self.run = run
        self.error = type(error).__name__
        self.transient = transient(error)
        self.tools = bool(run.notes.get("tools"))
        self.task: weakref.ref[Any] | None = weakref.ref(run.task) if run.task is not None else None
        self.when = time.monotonic()


def ended(run: Run) -> None:
    """Listens to every run's end: remembers those that failed."""
    if run.outcome != "failed" or run.error is None or _stopped(run.error):
        return
    run.notes["failed"] = type(run.error).__name__
    run.notes["loop"] = any(OTHER_LOOP.search(str(cause)) for cause in causes(run.error))
    if not run.text:
        return
    key = _key(run)
    known = _failed.setdefault(key, deque(maxlen=16))
    known.append(Attempt(run, run.error))
    _failed.move_to_end(key)
    while len(_failed) > KEPT:
        _failed.popitem(last=False)


def failed_before(run: Run) -> Run | None:
    """The run that this one repeats after it failed; None when there is none, or to repeat it was right.

    The same object again is never right: it holds the message already. A fresh one is right after an error that
    may be gone, if no tool has had an effect yet.
    """
    if not run.text or (run.watched.last is not None and for_the_loop(run.watched.last)):
        return None
    last = run.watched.last
    if last is not None and run.watched.dirty and last.outcome == "failed" and last.text == run.text:
        return last if _same_work(last, run) and run.leftover != last.leftover else None
    for attempt in reversed(_failed.get(_key(run), ())):
        before = attempt.run
        if before.text != run.text or before.watched.made[:1] != run.watched.made[:1] or not before.watched.made:
            continue
        if time.monotonic() - attempt.when > WITHIN or not _same_task(attempt, run):
            continue
        if attempt.tools or not attempt.transient:
            return before
    return None


def attempts(run: Run) -> int:
    """Which attempt this is, the first one being 1."""
    return 1 + sum(1 for attempt in _failed.get(_key(run), ()) if attempt.run.text == run.text)


def name_of(run: Run) -> str:
    """The type of the exception that a run failed with."""
    return str(run.notes.get("failed", "an error"))


def for_the_loop(run: Run) -> bool:
    """Whether a run failed since something of it belongs to another event loop."""
    return bool(run.notes.get("loop"))


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed the next time: a busy or failing provider, a broken connection."""
    for cause in causes(error):
        status = getattr(cause, "status_code", None)
        if isinstance(status, int):
            return status in (408, 409, 429) or status >= 500
        if isinstance(cause, TimeoutError | ConnectionError):
            return True
    # A team's error carries the participant's only as text.
    return bool(TRANSIENT.search(f"{type(error).__name__} {str(error)[:300]}"))


def _stopped(error: BaseException) -> bool:
    """Whether a run ended since it was cancelled, by an exception of the program's own that says so: to do it
    again later, as after a restart, repeats no failure. A time-out is cancelled as well, and is one."""
    found = tuple(causes(error))
    return any(isinstance(cause, asyncio.CancelledError) for cause in found) and not any(
        isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in found
    )


def forget() -> None:
    """Forget every failure. For tests."""
    _failed.clear()


def _key(run: Run) -> Any:
    if run.request is not None:
        return run.request.id
    return run.thread


def _same_work(before: Run, run: Run) -> bool:
    if before.request is None or run.request is None:
        return before.request is run.request
    return before.request.id == run.request.id


def _same_task(attempt: Attempt, run: Run) -> bool:
    """With a request it may be another task of it; without one, only the same task goes on with the same work."""
    if run.request is not None:
        return True
    task = attempt.task() if attempt.task is not None else None
    return task is run.task
