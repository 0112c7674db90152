"""`turnlane serve`: agents over HTTP, until a signal."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from turnlane.cli.assembly import RunningServer, running
from turnlane.cli.stopping import run_until_stopped
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import ServeSettings
from turnlane.worker.collector import spare_what_is_loaded


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
    server = running(lambda: load_app(target), settings, warmed_up=spare_what_is_loaded)
    return run_until_stopped(server, settings, greeting)


def greeting(server: RunningServer) -> str:
    """What a person sees when the server is ready; the last line of it is the sign that it is."""
    agents = list(server.app.agents)
    key = "" if server.keys is None else " -H 'authorization: Bearer YOUR_KEY'"
    body = f'{{"model": "{agents[0]}", "input": "Hello!", "stream": true}}'
    return (
        f"\nturnlane {'serves' if server.worker else 'takes turns for'} {', '.join(agents)}\n"
        f"{where(server)}"
        f"  pages    {server.url}/hazards, API: {server.url}/openapi.json, metrics: {server.url}/metrics\n"
        f"  try it   curl -N {server.url}/v1/responses -H 'content-type: application/json'{key} -d '{body}'\n"
        f"{how_to_stop(server)}"
        f"listening on {server.url}\n\n"
    )


def where(server: RunningServer) -> str:
    """Lines that say where turns are kept and who answers model calls."""
    folder = server.address.folder
    lines = f"  data     {folder.resolve() if folder is not None else server.address.shown}\n"
    if server.worker is None:
        lines += "  agents   run where `turnlane worker` is started with the same files and engine\n"
    if server.practice is not None:
        lines += f"  models   practice provider, scripted answers ({server.practice.base_url})\n"
    return lines


def how_to_stop(server: RunningServer) -> str:
    """The line that says what Ctrl-C does."""
    if server.worker is None:
        return f"  stop     Ctrl-C; open requests get {server.settings.grace:g} s, turns go on\n"
    again = "at another worker" if server.address.shared else "at the next start"
    return f"  stop     Ctrl-C; running turns get {server.settings.grace:g} s, the rest run again {again}\n"
