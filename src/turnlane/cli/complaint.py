"""What a verb says when it can't do what was asked: one sentence on stderr, and the exit status."""

from __future__ import annotations

USAGE = 2
"""Exit status of a user's mistake."""
FAILED = 1
"""Exit status of work that failed."""


class Complaint(Exception):
    """Ends a verb with `turnlane: MESSAGE` on stderr. The message says what happened and what to do next."""

    def __init__(self, message: str, status: int = USAGE) -> None:
        super().__init__(message)
        self.status = status
