"""What ends a run before it has begun: a mistake of the user's, told in one sentence."""

from __future__ import annotations


class CannotRun(Exception):
    """The check can't be done. The message is one sentence: what is wrong, where, and what to do."""
