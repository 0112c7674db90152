"""TL504: a request of a server waits for what somebody types at the server's terminal."""

from __future__ import annotations

import builtins
import functools
import sys
import threading
from typing import Any, Final

from turnlane.guard import journals, native_calls, requests, runs, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.patching import replace

READS: Final = ("readline", "read", "readlines")

_waiting: list[int] = []
"""Threads that wait for input at this moment."""


def install() -> None:
    """Listen to `input()`, and to who reads `sys.stdin` itself."""
    native_calls.listen("input", _asked, builtins)
    if sys.stdin is not None:
        for name in READS:
            replace(sys.stdin, name, functools.partial(_watched_read, name))


def _asked(prompt: object = "", *_: object, **__: object) -> None:
    _report("input()", str(prompt))


def _watched_read(name: str, original: Any) -> Any:
    @functools.wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        _report(f"sys.stdin.{name}()", "")
        _waiting.append(threading.get_ident())
        try:
            return original(*args, **kwargs)
        finally:
            _waiting.remove(threading.get_ident())

    return read


def _report(how: str, prompt: str) -> None:
    request = requests.current.get()
    if request is None or not request.of_a_server or request.notes.get("stdin"):
        return
    request.notes["stdin"] = True
    run = runs.enclosing()
    stack = stacks.capture(3)
    place_stack = run.place_stack if run is not None and not stacks.has_users(stack) else stack
    who = f" for {run.label}" if run is not None else ""
    asks = f" ({prompt.strip()[:60]!r})" if prompt.strip() else ""
    journals.report(
        Sighting(
            code="TL504",
            message=f"{request.name} waits in {how}{asks}{who}: nobody types at a server's terminal.",
            stack=place_stack,
            stacks=with_stacks(("it reads here", stack), ("the run that waits", run.place_stack if run else ())),
            object=run.label if run is not None else None,
            request=request.id,
            conversation=request.conversation,
            task=run.task_name if run is not None else None,
            measures={"waiting": len(_waiting) + 1},
        )
    )
