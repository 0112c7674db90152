"""One timer for the next moment at which something is due: an idle process sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from turnlane.runtime.engine import EngineUnavailable

LONGEST_SLEEP: Final = 60.0
"""Seconds after which the clock is looked at again: it may have been set meanwhile."""

AFTER_ERROR: Final = 1.0
"""Seconds until the next try when what was due could not be done."""

LATER: Final = 0.001
"""Seconds that a timer is set later than the moment: the two clocks don't tick as one."""


class Alarm:
    """Rings when the moment has come, and again as long as it fails. Used from one event loop.

    Args:
        clock: seconds since the epoch.
        ring: does what is due, and says with the future when it is done.
    """

    def __init__(self, clock: Callable[[], float], ring: Callable[[], asyncio.Future[None]]) -> None:
        self._clock = clock
        self._ring = ring
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ringing = False

    def set(self, due: float | None) -> None:
        """Ring next at `due`; None: not until it is set again."""
        if due == self._due:
            return
        self._due = due
        if not self._ringing:
            self._sleep()

    def close(self) -> None:
        """Never ring again."""
        self.set(None)

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due is not None:
            self._wait(min(LONGEST_SLEEP, max(0.0, self._due - self._clock()) + LATER))

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._timer = None
        try:
            done = self._ring()
        except EngineUnavailable:
            return  # closed meanwhile: nothing is due any more
        self._ringing = True
        done.add_done_callback(self._rung)

    def _rung(self, done: asyncio.Future[None]) -> None:
        self._ringing = False
        failed = done.cancelled() or done.exception() is not None
        if failed and self._due is not None:
            self._wait(AFTER_ERROR)
        else:
            self._sleep()
