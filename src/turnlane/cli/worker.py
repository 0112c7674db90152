"""`turnlane worker`: runs agents for the front ends of other processes, until a signal."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from turnlane.cli.assembly import RunningServer, running_worker
from turnlane.cli.serve import how_to_stop, where
from turnlane.cli.stopping import run_until_stopped
from turnlane.runtime.loading import load_app
from turnlane.runtime.settings import WorkerSettings
from turnlane.worker.collector import spare_what_is_loaded


def worker(
    *target: str,
    settings: Annotated[WorkerSettings, Parameter(name="*", negative="")] = WorkerSettings(),  # noqa: B008 - frozen
) -> int:
    """Run the agents of one or more files for `turnlane serve` in other processes.

    Parameters
    ----------
    target
        FILE.py, FILE.py:function, module or module:function: the same as at the front ends.
    """
    started = running_worker(lambda: load_app(target), settings, warmed_up=spare_what_is_loaded)
    return run_until_stopped(started, settings, greeting)


def greeting(worker: RunningServer) -> str:
    """What a person sees when the worker is ready; the last line of it is the sign that it is."""
    health = f"  health   {worker.url}/healthz, {worker.url}/readyz, {worker.url}/metrics\n" if worker.url else ""
    return (
        f"\nturnlane runs {', '.join(worker.app.agents)}\n"
        f"{where(worker)}{health}{how_to_stop(worker)}"
        f"taking turns, {worker.settings.capacity} at once\n\n"
    )
