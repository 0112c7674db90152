"""While a store can't be used: the log hears of it once at its beginning and once at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

from turnlane.telemetry.events import emit


class Outage:
    """Whether a store can be used, as its engine last met it; the engine returns its `reason` as `trouble`.

    Every use that failed calls `failed`, every one that worked `worked`; both cost next to nothing while
    nothing changes.

    Args:
        quiet: seconds without a failure after which the outage is over. Above 0 where some uses fail while others
            work, as on a disk that is nearly full: else each of them would begin and end an outage.
        clock: seconds, only ever rising.
    """

    def __init__(self, *, quiet: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.reason: str | None = None
        """One sentence: what is wrong and what to do; None while all is well."""
        self._quiet = quiet
        self._clock = clock
        self._since = 0.0
        self._last = 0.0
        self._closed = False

    def failed(self, reason: str) -> None:
        """The store can't be used. Told when an outage begins; a further reason takes the place of the last."""
        if self._closed:
            return
        self._last = self._clock()
        if self.reason is None:
            self._since = self._last
            emit("engine.trouble", reason=reason)
        self.reason = reason

    def worked(self) -> None:
        """The store was used. Told when this ends an outage."""
        if self.reason is None:
            return
        now = self._clock()
        if now - self._last < self._quiet:
            return
        self.reason = None
        emit("engine.back", seconds=now - self._since)

    def close(self) -> None:
        """The store is let go of on purpose: what fails from now on fails for that."""
        self._closed = True
        self.reason = None
