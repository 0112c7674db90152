"""How a process that serves is run, and told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from turnlane.cli.assembly import RunningServer, complaints, new_loop
from turnlane.runtime.settings import ProcessSettings
from turnlane.telemetry.events import emit
from turnlane.telemetry.logs import start_logs
from turnlane.telemetry.redact import remember_secrets

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes lets another one run."""


def run_until_stopped(
    server: AbstractAsyncContextManager[RunningServer],
    settings: ProcessSettings,
    greeting: Callable[[RunningServer], str],
) -> int:
    """Run a process until the first SIGTERM or SIGINT, then drain it. Returns the exit status.

    Raises:
        Complaint: it can't serve.
    """
    remember_secrets()
    # The store's writer has to get the interpreter back soon also while the loop is busy: at Python's own
    # 5 ms a turn took 20 ms from accepted to committed, at 0.5 ms it takes 8.
    sys.setswitchinterval(SWITCH_INTERVAL)
    stop_logs = start_logs(format=settings.log_format, level=settings.log_level, content=settings.log_content)
    try:
        with complaints(), asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_run(server, settings, greeting))
    finally:
        stop_logs()


async def _run(
    starting: AbstractAsyncContextManager[RunningServer],
    settings: ProcessSettings,
    greeting: Callable[[RunningServer], str],
) -> int:
    stop = _stop_signal()
    async with starting as server:
        # Also into a file or pipe: whoever starts a server wants to know where it is. The log goes to stderr.
        if settings.log_format != "json":
            sys.stdout.write(greeting(server))
            sys.stdout.flush()
        await _first_of(stop, server.stopped)
        await server.drain(settings.grace)
    return 0


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. The second ends the process at once.

    Nothing is lost by that: what was accepted is durable, and what ran runs again at the next start.
    """
    stop = asyncio.Event()

    def arrived(number: int) -> None:
        if stop.is_set():
            emit("server.stopped", note="at once, by a second signal; turns that ran will run again")
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            asyncio.get_running_loop().add_signal_handler(number, arrived, number)
        except NotImplementedError:  # Windows: Ctrl-C ends the runner, and so the server, without a drain
            break
    return stop


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for future in waiting:
        future.cancel()
