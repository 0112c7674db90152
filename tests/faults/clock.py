"""A wall clock that jumps when told, for processes under test; the monotonic clock goes on as ever.

libfaketime would do the same for all calls, but it fakes `clock_nanosleep` too, and Python's own `time.sleep` then
fails with EINVAL (0.9.10, with or without FAKETIME_DONT_FAKE_MONOTONIC). PostgreSQL runs under it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "TURNLANE_FAULTS_CLOCK"
"""Names the file with the seconds by which the process's clock is off."""

LOOK_EVERY: Final = 0.05
"""Seconds after which the file is looked at again."""

_real = time.time
_offset = 0.0
_looked = 0.0


def install() -> None:
    """Replace `time.time`; to be called before other modules keep a reference to it."""
    time.time = _jumping


def set_offset(file: Path, seconds: float) -> None:
    """Let the clock of all processes that look at `file` be off by so much."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)


def _jumping() -> float:
    global _offset, _looked
    now = time.monotonic()
    if now - _looked > LOOK_EVERY:
        _looked = now
        _offset = _read()
    return _real() + _offset


def _read() -> float:
    try:
        return float(Path(os.environ[VARIABLE]).read_text())
    except (KeyError, OSError, ValueError):
        return 0.0
