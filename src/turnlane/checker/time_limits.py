"""How long an agent's run may take, for the rules about limits of platforms."""

from __future__ import annotations

from typing import Final

from turnlane.checker.finding import Severity

SHORT: Final = 30
"""Seconds that a run with two model calls and a tool often exceeds."""
DOUBTFUL: Final = 60
"""Seconds below which a limit is worth a look."""


def too_short(seconds: float) -> Severity | None:
    """What a time limit in seconds is for an agent's run; None: long enough."""
    if seconds < SHORT:
        return "warning"
    return "information" if seconds < DOUBTFUL else None
