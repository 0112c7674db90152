"""What the guard says at the end. Not written yet."""

from __future__ import annotations

from turnlane.guard.journal import Journal


def print_own(journal: Journal) -> None:
    """Nothing yet."""
