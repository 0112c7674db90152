"""`turnlane serve`: agents over HTTP, until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Annotated, Final

from cyclopts import Parameter

from turnlane.cli.assembly import RunningServer, complaints, new_loop, running
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings
from turnlane.telemetry.events import emit
from turnlane.telemetry.logs import start_logs
from turnlane.telemetry.redact import remember_secrets
from turnlane.worker.collector import spare_what_is_loaded

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes lets another one run."""


def serve(
    *target: str,
    settings: Annotated[ServeSettings, Parameter(name="*", negative="")] = ServeSettings(),  # noqa: B008 - frozen
) -> int:
    """Serve the agents of one or more files over HTTP.

    Parameters
    ----------
    target
        FILE.py, FILE.py:function, module or module:function.
    """
    remember_secrets()
    # The store's writer has to get the interpreter back soon also while the loop is busy: at Python's own
    # 5 ms a turn took 20 ms from accepted to committed, at 0.5 ms it takes 8.
    sys.setswitchinterval(SWITCH_INTERVAL)
    stop_logs = start_logs(format=settings.log_format, level=settings.log_level, content=settings.log_content)
    try:
        with complaints(), asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_serve(target, settings))
    finally:
        stop_logs()


async def _serve(target: tuple[str, ...], settings: ServeSettings) -> int:
    stop = _stop_signal()
    async with running(lambda: load_app(target), settings, warmed_up=spare_what_is_loaded) as server:
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


def greeting(server: RunningServer) -> str:
    """What a person sees when the server is ready; the last line of it is the sign that it is."""
    agents = list(server.app.agents)
    key = "" if server.keys is None else " -H 'authorization: Bearer YOUR_KEY'"
    body = f'{{"model": "{agents[0]}", "input": "Hello!", "stream": true}}'
    provider = (
        f"\n  models   practice provider, scripted answers ({server.practice.base_url})" if server.practice else ""
    )
    return (
        f"\nturnlane serves {', '.join(agents)}\n"
        f"  data     {server.settings.data.resolve()}{provider}\n"
        f"  pages    {server.url}/hazards, API: {server.url}/openapi.json, metrics: {server.url}/metrics\n"
        f"  try it   curl -N {server.url}/v1/responses -H 'content-type: application/json'{key} -d '{body}'\n"
        f"  stop     Ctrl-C; running turns get {server.settings.grace:g} s, the rest run again at the next start\n"
        f"listening on {server.url}\n\n"
    )
