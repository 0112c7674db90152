"""Sync and async in classic AutoGen: each entry point has both forms, which are easily mixed up (TL107, TL109)."""

from __future__ import annotations

import asyncio
import dis
import functools
import inspect
import sys
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard import journals
from turnlane.guard.journal import Sighting
from turnlane.guard.meetings import sighting_of_two
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack, is_users

_first_in_task: WeakKeyDictionary[Any, dict[str, Run]] = WeakKeyDictionary()


def one_mode(run: Run) -> None:
    """Report when the request or task of this run has run agents in the other mode as well (TL107).

    Only what the user's own line has called counts: a thread for the sync form is no mix, nor is what the
    framework does inside.
    """
    if not run.stack or not is_users(run.stack[0][0].co_filename):
        return
    seen = _seen_by(run)
    if seen is None:
        return
    mode = "async" if run.entry.startswith("a_") else "sync"
    other = seen.get("sync" if mode == "async" else "async")
    seen.setdefault(mode, run)
    if other is None:
        return
    message = (
        f"One request runs agents in both modes: {other.label}.{other.entry}, then {run.label}.{run.entry}. "
        "The sync form stops the event loop for everybody while it waits."
    )
    journals.report(sighting_of_two("TL107", message, run, other, run.watched, first="the run in the other mode"))


def _seen_by(run: Run) -> dict[str, Run] | None:
    if run.request is not None:
        seen: dict[str, Run] = run.request.notes.setdefault("classic modes", {})
        return seen
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _first_in_task.setdefault(task, {})


def not_awaited(entry: str, stack: Stack) -> None:
    """Report, before the chat has run, that the line awaits what the sync form returns (TL109)."""
    frame = sys._getframe(2)
    while frame.f_back is not None and (not stack or frame.f_code is not stack[0][0]):
        frame = frame.f_back
    if not frame.f_code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return
    if not _is_awaited(frame.f_code, frame.f_lasti):
        return
    journals.report(
        Sighting(
            code="TL109",
            message=f"`await` stands before {entry}, which is a plain function: the chat runs to its end and is "
            f"paid for, then `await` fails on its ChatResult. `a_{entry}` is the form to await.",
            stack=stack,
        )
    )


@functools.lru_cache(maxsize=256)
def _is_awaited(code: CodeType, call: int) -> bool:
    """Whether the result of the call at this offset is what the next instruction awaits."""
    following = (instruction.opname for instruction in dis.get_instructions(code) if instruction.offset > call)
    return next(following, "") == "GET_AWAITABLE"
