"""TL605: servers that load the app before they fork, or load it again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.deployment.facts import DeploymentFile, Server
from turnlane.checker.deployment.project import Project, StartedServer, place_of
from turnlane.checker.deployment.published import AGENT_PACKAGES
from turnlane.checker.finding import Edit, Finding, Fix, Severity
from turnlane.checker.rule import Example, Rule


class PreloadFork(Rule):
    code = "TL605"
    language = "deployment"
    detects = (
        "Where the packages beside it name an agent framework: gunicorn with `--preload` or `preload_app = "
        "True`, and "
        "uWSGI without `lazy-apps`, which import the app and then fork (a warning with several workers, else "
        "information); as information, a hot reloader in the start command of an image, a Procfile or a unit "
        "that is "
        "not named for development. Scripts and Compose files may be for development and are left out for the "
        "latter."
    )
    fixes = "Turns `preload_app = True` in `gunicorn.conf.py` off (unsafe: workers then need more memory)."
    bad: ClassVar = (
        Example(
            "# file: Dockerfile\nFROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt\n"
            'CMD ["gunicorn", "app:app", "--preload", "-w", "4", "-k", "uvicorn.workers.UvicornWorker"]  # here\n'
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
        ),
        Example(
            "# file: Procfile\nweb: uvicorn app:app --host 0.0.0.0 --reload  # here\n"
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
            title="A hot reloader in production",
        ),
    )
    good: ClassVar = (
        Example(
            "# file: Dockerfile\nFROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt\n"
            'CMD ["gunicorn", "app:app", "-w", "4", "-k", "uvicorn.workers.UvicornWorker"]\n'
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
        ),
        Example(
            "# file: Dockerfile.dev\nFROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt\n"
            'CMD ["uvicorn", "app:app", "--reload"]\n'
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
            title="A hot reloader for development",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for started in project.servers:
            file = project.file(started.path)
            if not (started.server.preload or started.server.reload):
                continue
            if project.packages_near(file, started.server.folder) & AGENT_PACKAGES:
                yield from _preloads(started, file)
                yield from _reloads(started, file)


def _preloads(started: StartedServer, file: DeploymentFile) -> Iterator[Finding]:
    server = started.server
    if not server.forks_after_import:
        return
    severity: Severity = "warning" if server.several else "information"
    how = "`--preload`" if server.program == "gunicorn" else "uWSGI"
    text = (
        f"{how} imports the app before the workers fork: a client that the import makes is shared by all of them"
    )
    help_line = "Drop `--preload`, or make clients at each worker's start-up."
    if server.program == "uwsgi":
        help_line = "Add `--lazy-apps`, or make clients at each worker's start-up."
    span = server.preload_span or server.span
    yield Finding("TL605", place_of(file.path, span), text, severity, help=help_line, fix=_fix(file, server))


def _fix(file: DeploymentFile, server: Server) -> Fix | None:
    if file.kind != "gunicorn" or server.preload_span is None:
        return None
    edit = Edit(place_of(file.path, server.preload_span), "preload_app = False")
    return Fix("Set `preload_app = False`", (edit,), safe=False)


_CERTAIN = ("dockerfile", "procfile", "unit", "platform")
"""Kinds of files whose commands start what users meet, unless their names say otherwise."""


def _reloads(started: StartedServer, file: DeploymentFile) -> Iterator[Finding]:
    server = started.server
    if not server.reload or not server.production or file.kind not in _CERTAIN:
        return
    text = (
        f"{server.program} loads the app again when a file changes: running turns are killed with the old process"
    )
    span = server.reload_span or server.span
    help_line = "Leave the reloader out of the command that production runs."
    yield Finding("TL605", place_of(file.path, span), text, "information", help=help_line)
