"""One participant of two teams or workflows: what it hears in one is in its prompts in the other (TL205)."""

from __future__ import annotations

import gc
from typing import Final

from turnlane.guard import meetings
from turnlane.guard.journal import Sighting
from turnlane.guard.objects import Watched
from turnlane.guard.runs import Run

COLLECTIONS: Final = 20
"""How often the garbage collector is asked whether a team is still held; then nothing is said of such pairs."""

_collections = 0


def sighting(run: Run, before: Run, participant: Watched, first: Watched, second: Watched) -> Sighting | None:
    """What it means that a participant, who was in a run of the first team, is in one of the second (TL205).

    Args:
        run, before: the run in the second team, and that in the first.
    """
    if not _both_kept(first, second):
        return None
    label = participant.label or run.label
    found = meetings.sighting_of_two(
        "TL205",
        f"{label} works in two teams; what it heard in the first is in its prompts in the second.",
        run,
        before,
        participant,
        label=label,
        first="its run in the first team",
    )
    found.stack = second.made or found.stack
    found.stacks = [
        *found.stacks,
        *meetings.with_stacks(("the first team was made here", first.made), ("the second team", second.made)),
    ]
    return found


def _both_kept(first: Watched, second: Watched) -> bool:
    """Whether both teams live on. A team for each request that shares its agents is the shared agent's hazard; one
    that was made anew in the place of another is none."""
    if first.request is not second.request:
        return False
    if first.ref is not None and first.ref() is not None and not first.active:
        # A team is full of cycles: one that nobody holds is still there until they are collected.
        global _collections
        _collections += 1
        if _collections > COLLECTIONS:
            return False
        gc.collect()
    return first.ref is not None and first.ref() is not None
