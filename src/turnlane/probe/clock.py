"""The probe's one clock: seconds since its start."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Turns monotonic and wall-clock times into seconds since the probe's start."""

    def __init__(self) -> None:
        self._monotonic = time.monotonic()
        self._wall = time.time()

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._monotonic

    def of_monotonic(self, seconds: float) -> float:
        """A time of `time.monotonic()`."""
        return seconds - self._monotonic

    def of_wall(self, seconds: float) -> float:
        """A time of `time.time()`, as another process wrote it."""
        return seconds - self._wall

    def started(self) -> str:
        """When that was, as an ISO 8601 time."""
        return datetime.fromtimestamp(self._wall, UTC).isoformat(timespec="seconds")
