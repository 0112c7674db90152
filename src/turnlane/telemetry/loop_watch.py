"""A blocked event loop is noticed while it lasts, with the stack that blocks it (hazard TL108).

The loop beats by a timer; a thread listens. When a beat is late, the thread looks at what the loop's thread is
doing at that moment: afterwards nobody could tell.
"""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from turnlane.telemetry.events import emit

BEAT: Final = 0.1
"""Seconds between beats: ten timers a second are too few to see in the CPU time of an idle process."""

SAMPLE: Final = 1.0
"""Seconds of which `loop.lag` tells the worst."""

MAX_FRAMES: Final = 30

_OURS: Final = f"{Path(__file__).resolve().parent.parent}/"
_STDLIB: Final = sysconfig.get_path("stdlib")
_ASYNCIO: Final = f"{_STDLIB}/asyncio/"
# Under uvloop, which is native, the last of them is `run`.
_RUNS_THE_LOOP: Final = ("run", "run_until_complete", "run_forever", "_run_once", "_run")
_MACHINERY: Final = (_ASYNCIO, f"{_STDLIB}/contextlib", "<frozen ")

NO_STACK: Final = (
    "no stack: nothing in the process could run (native code that holds the GIL, or a process that was stopped "
    "or starved)"
)


class LoopWatch:
    """Watches the running loop from `start` to `stop`. Both may be called twice.

    Emits `loop.blocked` when the loop has been late for `threshold` seconds (`seconds` so far, `stack`), again
    at the end of the block (`ended`, `seconds` in all), and `loop.lag` once per `SAMPLE`.
    """

    def __init__(self, threshold: float = 0.25, *, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            threshold: seconds late that count as blocked.
        """
        self.threshold = threshold
        self._clock = clock
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._due = 0.0
        self._reported = False
        self._worst = 0.0
        self._sample_ends = 0.0

    def start(self) -> None:
        """Begin to watch the loop that runs now, in this thread."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped.clear()
        self._sample_ends = self._clock() + SAMPLE
        self._arm()
        self._thread = threading.Thread(target=self._listen, name="turnlane loop watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. To be called in the loop's thread."""
        if self._thread is None:
            return
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        # Not joined: it may be writing a report to a full pipe, and it ends by itself.
        self._thread = None

    # --- in the loop's thread ---

    def _arm(self) -> None:
        assert self._loop is not None
        self._due = self._clock() + BEAT
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _beat(self) -> None:
        now = self._clock()
        with self._lock:
            late, reported = now - self._due, self._reported
            self._reported = False
            self._arm()
        self._worst = max(self._worst, late)
        if now >= self._sample_ends:
            emit("loop.lag", seconds=max(0.0, self._worst))
            self._worst, self._sample_ends = 0.0, now + SAMPLE
        if reported:
            emit("loop.blocked", seconds=late, ended=True, hazard="TL108")
        elif late > self.threshold:
            emit("loop.blocked", seconds=late, ended=True, hazard="TL108", note=NO_STACK)

    # --- in the listening thread ---

    def _listen(self) -> None:
        # Sleeps until the beat that is due now would be too late: three to four times a second, if all is well.
        pause = self.threshold
        expected = self._clock() + pause
        while not self._stopped.wait(pause):
            now = self._clock()
            # A listener that is late itself proves that the machine is busy, not that the loop is blocked.
            if now - expected < self.threshold / 2:
                self._look(now)
            pause = max(self._due + self.threshold - now, self.threshold / 4)
            expected = now + pause

    def _look(self, now: float) -> None:
        with self._lock:
            late = now - self._due
            if self._reported or late < self.threshold:
                return
            frame = sys._current_frames().get(self._loop_thread)
            if frame is None:
                return
            self._reported = True
            stack = traceback.extract_stack(frame)
        emit("loop.blocked", seconds=late, ended=False, hazard="TL108", stack=shown_stack(stack))


def shown_stack(stack: traceback.StackSummary) -> str:
    """The part of a stack that says who blocks: inside the loop, without its machinery and our own frames.

    When the innermost frame is ours, ours stay: then it is our fault, and must be seen.
    """
    frames = _inside_the_loop(list(stack))
    if not frames[-1].filename.startswith(_OURS):
        frames = [frame for frame in frames if not _is_machinery(frame)] or frames[-1:]
    return "".join(traceback.StackSummary.from_list(frames[-MAX_FRAMES:]).format()).rstrip()


def _inside_the_loop(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """The frames behind the last one that runs the loop; before it is only how the program was started."""
    for number in range(len(frames) - 2, -1, -1):
        if frames[number].filename.startswith(_ASYNCIO) and frames[number].name in _RUNS_THE_LOOP:
            return frames[number + 1 :]
    return frames


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((_OURS, *_MACHINERY)) or "/site-packages/uvicorn/" in frame.filename
