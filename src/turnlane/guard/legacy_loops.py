"""`get_event_loop()` where no loop runs: in a script (TL104), in a thread (TL103)."""

from __future__ import annotations

import asyncio
import asyncio.events
import dis
import os
import sys
import threading
import weakref
from types import FrameType, FunctionType
from typing import Any, Final

from turnlane.guard import journals, patching, stacks, unawaited
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.stacks import Stack

_ASYNCIO: Final = (os.path.dirname(asyncio.__file__) + os.sep, *stacks.OURS)

_made_for: weakref.WeakKeyDictionary[Any, Stack] = weakref.WeakKeyDictionary()
"""Loops that `get_event_loop` made because there was none, and who asked."""


def install() -> None:
    """Watch the policy, which is asked only where no loop runs."""
    for name in ("BaseDefaultEventLoopPolicy", "_BaseDefaultEventLoopPolicy"):
        kind = getattr(asyncio.events, name, None)
        if kind is not None and "get_event_loop" in vars(kind):
            patching.replace(kind, "get_event_loop", _watched)
            break
    when_imported("uvloop", _patch_policy_of_uvloop)


def _patch_policy_of_uvloop(module: Any) -> None:
    kind = getattr(module, "EventLoopPolicy", None)
    if kind is not None and "get_event_loop" in vars(kind):
        patching.replace(kind, "get_event_loop", _watched)


def _watched(original: Any) -> Any:
    asked, refused = _asked, _refused

    def get_event_loop(self: Any) -> Any:
        before = getattr(getattr(self, "_local", None), "_loop", None)
        try:
            loop = original(self)
        except RuntimeError:
            refused()
            raise
        if before is None:
            asked(loop)
        return loop

    # Python 3.12 attributes its warning to the first frame whose module is not asyncio's: that must stay the
    # program's.
    names = {"__name__": "asyncio.events", "__builtins__": __builtins__}
    return FunctionType(get_event_loop.__code__, names, "get_event_loop", None, get_event_loop.__closure__)


def _asked(loop: Any) -> None:
    """There was no loop, and one was made for whoever asked."""
    if _by_user() is not None:
        _made_for[loop] = stacks.capture(2)


def _refused() -> None:
    """There is no loop, and none was made."""
    try:
        frame = _by_user()
        if frame is None or _expects_it(frame):
            return
        unawaited.excuse_held(frame)
        main = threading.current_thread() is threading.main_thread()
        stack = stacks.of_frame(frame)
        name = threading.current_thread().name
        journals.report(
            Sighting(
                code="TL104" if main else "TL103",
                message=f"get_event_loop() is called in thread {name!r}, which has no event loop: it raises."
                + ("" if main else " A thread of a pool or of a server never has one."),
                stack=stack,
            )
        )
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("get_event_loop", error)


def run(loop: Any, stack: Stack) -> Sighting | None:
    """What running `loop` shows: it was made because `get_event_loop` found none."""
    asked = _made_for.pop(loop, None)
    if asked is None:
        return None
    return Sighting(
        code="TL104",
        message="get_event_loop() made a loop because there was none, and the script runs it: Python 3.14 "
        "refuses, so does every version after an asyncio.run.",
        stack=asked,
        stacks=[("get_event_loop() is called here", asked), ("its loop is run here", stack)],
    )


def _by_user() -> FrameType | None:
    """The frame that asked, if it is the user's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_ASYNCIO):
        frame = frame.f_back
    return frame if frame is not None and stacks.is_users(frame.f_code.co_filename) else None


def _expects_it(frame: FrameType) -> bool:
    """Whether the function that asked is ready for the error: in a `try`, with a loop of its own instead."""
    code = frame.f_code
    if "new_event_loop" not in code.co_names and "run" not in code.co_names:
        return False
    table = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    return any(entry.start <= frame.f_lasti < entry.end for entry in table)
