"""Runs somebody's command as if we were not there: its terminal, its signals, its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from turnlane.cli.complaint import Complaint

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As in a shell, `env` and `nohup`."""

FORWARDED: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
FROM_THE_KEYBOARD: Final = ("SIGINT", "SIGQUIT", "SIGHUP")
"""What a terminal sends to all processes in front of it: the command has got it already."""


def run(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and pass on the signals that come meanwhile.

    Returns:
        Its exit status; 128 and the number of the signal that ended it.

    Raises:
        Complaint: it can't be started.
    """
    with _signals() as forward:
        child = _start(words, environment)
        forward.to(child)
        status = child.wait()
    return status if status >= 0 else 128 - status


def _start(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(words), env=dict(environment))  # noqa: S603 - running it is what was asked for
    except FileNotFoundError:
        raise Complaint(_not_found(words[0]), NOT_FOUND) from None
    except PermissionError:
        raise Complaint(f"{words[0]} is not executable: {_instead(words[0])}", NOT_EXECUTABLE) from None
    except OSError as error:
        # A script without `#!`, a program of another machine.
        raise Complaint(f"{words[0]} can't be run: {error.strerror or error}", NOT_EXECUTABLE) from None


def _not_found(program: str) -> str:
    if os.path.exists(program):
        return (
            f"{program} can't be run: {_instead(program)}" if os.sep not in program else _no_interpreter(program)
        )
    return f"there is no command {program}: check its name, and that its environment is active"


def _no_interpreter(program: str) -> str:
    return f"{program} can't be run: the interpreter in its first line does not exist"


def _instead(program: str) -> str:
    return f"run it as `python {program}`" if program.endswith(".py") else "check its name and its permissions"


class _Forward:
    """Passes signals on to a child; what comes before it is there waits for it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __call__(self, number: int, _: Any) -> None:
        if self._child is None:
            self._early.append(number)
        elif not (signal.Signals(number).name in FROM_THE_KEYBOARD and _in_front_of_a_terminal()):
            self._child.send_signal(number)

    def to(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._early:
            child.send_signal(number)


@contextmanager
def _signals() -> Iterator[_Forward]:
    forward = _Forward()
    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    # One that is ignored, as by nohup, stays so: the child inherits that.
    before = {number: signal.getsignal(number) for number in numbers}
    mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in mine:
        signal.signal(number, forward)
    try:
        yield forward
    finally:
        for number in mine:
            signal.signal(number, before[number])


def _in_front_of_a_terminal() -> bool:
    if not hasattr(os, "tcgetpgrp"):  # Windows, whose console tells all of its processes
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
