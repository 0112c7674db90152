"""What the operating system says of one thread: how long it computed, and how long it wanted to and could not."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

_TICK: Final = 1.0 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


_searched: dict[int, float] = {}
"""Seconds that the guard itself has computed in a thread, by the thread's native identity."""
_searching: dict[int, float] = {}
"""Likewise, for how long a thread had computed when the guard began what goes on there now."""


@contextlib.contextmanager
def not_the_programs() -> Iterator[None]:
    """Around what may take the guard long: it is no part of the times of the thread in which it is done."""
    native = threading.get_native_id()
    started = _searching[native] = time.thread_time()
    try:
        yield
    finally:
        _searching.pop(native, None)
        _searched[native] = _searched.get(native, 0.0) + time.thread_time() - started


class ThreadTimes(NamedTuple):
    """Seconds since the thread began.

    Attributes:
        cpu: it computed, for the program.
        starved: it was ready to, but the machine had no processor for it.
    """

    cpu: float
    starved: float


def times_of(native: int) -> ThreadTimes | None:
    """The times of the thread with this native identity; None where the system does not say (not Linux)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        cpu, starved, _ = _read(f"/proc/self/task/{native}/schedstat").split()
        return ThreadTimes(_of_program(native, int(cpu) / 1e9), int(starved) / 1e9)
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = _read(f"/proc/self/task/{native}/stat").rpartition(b") ")[2].split()
        computed = (int(fields[11]) + int(fields[12])) * _TICK
        return ThreadTimes(_of_program(native, computed), 0.0)
    return None


def _of_program(native: int, computed: float) -> float:
    searched = _searched.get(native, 0.0)
    return min(computed, _searching.get(native, computed)) - searched


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)
