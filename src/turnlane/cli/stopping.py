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
from turnlane.cli.complaint import FAILED
from turnlane.runtime.settings import ProcessSettings
from turnlane.telemetry.events import emit
from turnlane.telemetry.logs import start_logs
from turnlane.telemetry.redact import remember_secrets

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes lets another one run."""

LAST_WORDS: Final = 3.0
"""Seconds after the grace in which turns are given back, if the store is there to take them."""


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
        leaving = asyncio.create_task(_leave_without_the_store(server, settings.grace))
        await server.drain(settings.grace)
    leaving.cancel()
    return 0


async def _leave_without_the_store(server: RunningServer, grace: float) -> None:
    """End the process when its turns can't be given back because the store is away: their leases will end, too."""
    await asyncio.sleep(grace + LAST_WORDS)
    while server.engine.trouble is None:  # noqa: ASYNC110 - an engine tells of its trouble when it is asked
        await asyncio.sleep(1)
    emit(
        f"{server.name}.stopped",
        released=server.released,
        note=f"{server.engine.trouble}; turns that ran here run again at another worker when their lease is over",
    )
    os._exit(FAILED)


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
