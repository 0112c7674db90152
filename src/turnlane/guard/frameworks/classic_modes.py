"""Sync and async in classic AutoGen: each entry point has both forms, which are easily mixed up (TL107)."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard import journals
from turnlane.guard.meetings import sighting_of_two
from turnlane.guard.runs import Run
from turnlane.guard.stacks import is_users

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
        "While the sync form waits, an event loop in its thread stands still for everybody."
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
