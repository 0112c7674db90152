"""Where the program runs, since that decides what is right there: host, loop, processes, threads, versions."""

from __future__ import annotations

import asyncio
import functools
import os
import platform
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from turnlane.guard import journals, runs, versions
from turnlane.guard.commands import host_of, is_reloading, of_celery, of_gunicorn, program_of
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace
from turnlane.guard.runs import Run

CLOUDS: Final = {
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "FUNCTION_TARGET": "Google Cloud Functions",
    "K_SERVICE": "Google Cloud Run",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "CONTAINER_APP_NAME": "Azure Container Apps",
    "WEBSITE_SITE_NAME": "Azure App Service",
    "VERCEL": "Vercel",
    "DYNO": "Heroku",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
}
"""Variables by which platforms say who they are; the more particular first."""


_SERVERS: Final = ("uvicorn", "hypercorn", "sanic", "aiohttp")
"""Owners of loops that programs start themselves, too: those then are where they run."""


def install() -> None:
    """Tell once more when the first run or request begins: only then is there a loop to tell of."""
    journals.note_where(**of_gunicorn(_words()), **({"reloader": True} if is_reloading(_words()) else {}))
    runs.beginning.append(_first_run)
    when_imported("gunicorn.arbiter", _gunicorn)


def here() -> dict[str, Any]:
    """Facts about this process."""
    words = _words()
    running = loop()
    host, owner = host_of(words, os.environ), running.get("owner")
    found: dict[str, Any] = {
        "host": owner if owner in _SERVERS and host in ("script", "child process") else host,
        "cloud": next((name for variable, name in CLOUDS.items() if os.environ.get(variable)), None),
        "program": program_of(words),
        "loop": running,
        "processes": processes(words),
        "threads": threading.active_count(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "cpus": os.cpu_count(),
        "packages": (packages := versions.installed()),
        "conflicts": versions.conflicts(packages),
    }
    return {name: value for name, value in found.items() if value is not None}


def _words() -> Sequence[str]:
    return getattr(sys, "orig_argv", sys.argv)


def processes(words: Sequence[str]) -> dict[str, Any]:
    """How this process came to be, and how it makes others."""
    found: dict[str, Any] = {"pid": os.getpid(), "parent": os.getppid()}
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        found["start_method"] = multiprocessing.get_start_method(allow_none=True)
    for name in ("preload", "worker_class", "workers", "threads", "pool", "reloader"):
        value = journals.where_is(name)
        if value is not None:
            found[name] = value
    if (pool := of_celery(words)) is not None:
        found["pool"] = pool
    return {name: value for name, value in found.items() if value is not None}


def loop() -> dict[str, Any]:
    """The event loop that runs in this thread, if one does, and what has been done to loops here."""
    found: dict[str, Any] = {}
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not None:
        found = {"kind": kind_of(running), "thread": threading.current_thread().name, "owner": owner()}
    if getattr(asyncio, "_nest_patched", False) or getattr(running, "_nest_patched", False):
        found["nest_asyncio"] = True
    found["debug"] = bool(running.get_debug()) if running is not None else None
    return {name: value for name, value in found.items() if value is not None}


def kind_of(running: asyncio.AbstractEventLoop) -> str:
    """`uvloop`, `asyncio` or `proactor`."""
    kind = type(running)
    if kind.__module__.partition(".")[0] in ("uvloop", "winloop", "rloop"):
        return kind.__module__.partition(".")[0]
    return "proactor" if "Proactor" in kind.__name__ else "asyncio"


_OWNERS: Final = {
    "uvicorn": "uvicorn",
    "hypercorn": "hypercorn",
    "ipykernel": "the notebook's kernel",
    "IPython": "IPython",
    "streamlit": "streamlit",
    "chainlit": "chainlit",
    "anyio": "anyio",
    "pytest_asyncio": "pytest-asyncio",
    "_pytest": "pytest",
    "tornado": "tornado",
    "aiohttp": "aiohttp",
    "sanic": "sanic",
    "asgiref": "asgiref",
}
"""Packages that start loops, and what they are called here."""
_FOR_OTHERS: Final = ("tornado", "anyio")
"""Of these, libraries that others start theirs with."""


def owner() -> str:
    """Who has started the loop that runs in this thread: the nearest of those that are known, below the loop."""
    frame: FrameType | None = sys._getframe()
    below, found = False, "the program"
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if below and package in _OWNERS:
            found = _OWNERS[package]
            if package not in _FOR_OTHERS:
                break
        below = below or frame.f_code.co_name in ("run_forever", "run_until_complete")
        frame = frame.f_back
    return found


_told = False


def _first_run(_: Run) -> None:
    _tell_once()


def _tell_once() -> None:
    global _told
    if not _told:
        _told = True
        journals.write({"kind": "where", "where": here()})


def first_request() -> None:
    """A host has begun with a request. In a thread of a server without a loop the first run tells more."""
    if asyncio._get_running_loop() is not None:
        _tell_once()


def uninstall() -> None:
    """Forget that it was told. For tests."""
    global _told
    _told = False


def _gunicorn(module: Any) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def setup(self: Any, app: Any) -> Any:
            journals.note_where(**_configured(app.cfg))  # before: it may load the application
            return original(self, app)

        return setup

    replace(module.Arbiter, "setup", make)


def _configured(configuration: Any) -> dict[str, Any]:
    try:
        return {
            "preload": bool(configuration.preload_app),
            "worker_class": str(configuration.worker_class_str),
            "workers": int(configuration.workers),
            "reloader": bool(configuration.reload) or None,
        }
    except Exception as error:
        journals.trouble("gunicorn's configuration", error)
        return {}
