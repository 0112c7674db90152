"""Runs, chats and loops that start while a module is imported by another (TL113)."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import FrameType
from typing import Final

from turnlane.guard import journals, runs, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Place, Stack

IMPORTS: Final = "<frozen importlib._bootstrap"
"""What stands right outside the top level of a module that is being imported. A main script, a cell, a Streamlit
script and a test module are executed by something else."""


def install() -> None:
    """Look at every run."""
    runs.beginning.append(_begins)


def importing() -> bool:
    """Whether the caller is inside an import at all. Cheap, and too wide."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTS):
            return True
        frame = frame.f_back
    return False


def imported_module(stack: Stack) -> Place | None:
    """The line of the user's module that is being imported; None when `stack` is part of no import."""
    for (code, line), (outer, _) in pairwise(stack):
        if code.co_name == "<module>" and stacks.is_users(code.co_filename):
            if not outer.co_filename.startswith(IMPORTS):
                return None
            return Place(code.co_filename, line, code.co_qualname)
    return None


def started(entry: str, stack: Stack) -> Sighting | None:
    """What a loop or a run shows that starts with `stack`."""
    place = imported_module(stack)
    if place is None:
        return None
    return Sighting(
        code="TL113",
        message=f"{entry} is called while the module {place.file} is imported: every import, also by a "
        "server or a test, pays for it.",
        stack=stack,
        stacks=[("started here, during the import", stack)],
        place=place,
    )


def _begins(run: Run) -> None:
    # An async run at import stands on a loop that was started there, which has been told.
    if run.loop is None and run.parent is None:
        sighting = started(f"{run.label}.{run.entry}", run.stack)
        if sighting is not None:
            sighting.object = run.label
            journals.report(sighting)
