"""What calls the program: each host's requests, tasks, cells and sessions, which say whose work is done."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from turnlane.guard import journals

HOSTS: Final = (
    "asgi",
    "wsgi",
    "aiohttp",
    "tornado",
    "sanic",
    "django",
    "queues",
    "pages",
    "ipython",
    "aws_lambda",
    "pytest",
)


def install() -> None:
    """Wait for each host's module. One that fails does not take the others with it."""
    for name in HOSTS:
        try:
            import_module(f"{__name__}.{name}").install()
        except Exception as error:
            journals.trouble(f"host {name}", error)
