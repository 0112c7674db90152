"""Runs one command and leaves nothing of it behind, however the process that asked for it ends.

A script of its own, without site packages, so that it starts in a blink:
`python -I -S supervised.py USER FOLDER COMMAND...`. While its standard input is open, the asker lives. When that
closes (also by a kill -9 of the asker) everything that COMMAND started is killed and FOLDER removed; when
COMMAND ends by itself, only what it left running is killed. USER is an id to become first, or -1. Without COMMAND
it guards FOLDER alone.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_SET_CHILD_SUBREAPER: Final = 36
"""prctl: orphans below us become our children (Linux)."""


def main(user: int, folder: str, command: list[str]) -> int:
    if not command:
        sys.stdin.read()
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    child = _start(user, command)
    while (status := child.poll()) is None:
        readable, _, _ = select.select([sys.stdin, wake], [], [])
        if sys.stdin in readable:
            _kill_descendants(child)
            shutil.rmtree(folder, ignore_errors=True)
            return 1
        if wake in readable:
            os.read(wake, 4096)
    _kill_descendants(child)
    return status if status >= 0 else 128 - status


def _start(user: int, command: list[str]) -> subprocess.Popen[bytes]:
    become = {} if user < 0 else {"user": user, "group": user, "extra_groups": []}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return] # noqa: S603 - tests run their own commands
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **become,
    )


def _kill_descendants(child: subprocess.Popen[bytes]) -> None:
    """Whoever loses its parent becomes our child: killed in rounds until there is none."""
    if child.poll() is None:
        child.kill()
        child.wait()
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _prctl(option: int, value: int) -> None:
    # Elsewhere than on Linux what the command started has to notice by itself that its parent is gone.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
