"""How loaded the process is, once a second, for `turnlane probe`: lag, open files, tasks, threads, clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import Any, Final

from turnlane.guard import journals, loop_owners, objects

EVERY: Final = 1.0
_FOLDERS: Final = ("/proc/self/fd", "/dev/fd")


class Lag:
    """How long a loop takes to come round to what it is asked."""

    def __init__(self) -> None:
        self.asked = time.monotonic()
        self.answered: float | None = None

    def answer(self) -> None:
        """Called by the loop."""
        self.answered = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far, if it has not answered."""
        return (self.answered or time.monotonic()) - self.asked


class Gauges:
    """The thread that looks."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._asked: list[Lag] = []
        threading.Thread(target=self._run, name="turnlane guard gauges", daemon=True).start()

    def stop(self) -> None:
        """End, soon."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            try:
                journals.write(self.read())
            except Exception as error:
                journals.trouble("gauges", error)

    def read(self) -> dict[str, Any]:
        """One record. The lag is the worst of what the loops were asked a second ago."""
        lag = max((lag.seconds for lag in self._asked), default=0.0)
        loops = [loop for owner in loop_owners.running() if (loop := owner.loop()) is not None]
        # A loop that has not answered is not asked again, so that its lag grows.
        self._asked = [lag for lag in self._asked if lag.answered is None] or [_ask(loop) for loop in loops]
        return {
            "kind": "gauge",
            "lag": round(lag, 4),
            "fds": open_files(),
            "tasks": sum(_tasks(loop) for loop in loops),
            "threads": threading.active_count(),
            "clients": sum(1 for client, _ in objects.every("client") if not getattr(client, "is_closed", False)),
        }


_gauges: Gauges | None = None


def install() -> None:
    """Begin, if somebody asked for it."""
    global _gauges
    if journals.settings().gauges:
        _gauges = Gauges()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forked)


def uninstall() -> None:
    """End."""
    global _gauges
    if _gauges is not None:
        _gauges.stop()
    _gauges = None


def _forked() -> None:
    global _gauges
    if _gauges is not None:
        _gauges = Gauges()


def open_files() -> int | None:
    """How many file numbers the process has; None where the system does not say."""
    for folder in _FOLDERS:
        with contextlib.suppress(OSError):
            return len(os.listdir(folder)) - 1
    return None


def _ask(loop: asyncio.AbstractEventLoop) -> Lag:
    lag = Lag()
    try:
        loop.call_soon_threadsafe(lag.answer)
    except RuntimeError:  # closed meanwhile
        lag.answer()
    return lag


def _tasks(loop: asyncio.AbstractEventLoop) -> int:
    with contextlib.suppress(RuntimeError):  # the set changes while it is read
        return len(asyncio.all_tasks(loop))
    return 0
