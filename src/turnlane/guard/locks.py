"""The guard's locks: it works in finalisers and in children after a fork as well, and must stop neither."""

from __future__ import annotations

import os
import threading


def free_after_fork() -> threading.RLock:
    """A lock that the same thread may take again, since a collection may happen while it is held and report what
    it collects; free in a child after a fork, whatever a thread of the parent was doing."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock
