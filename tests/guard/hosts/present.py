"""The requests of this moment, without the test's own: to the guard a test is a piece of work, too."""

from __future__ import annotations

from turnlane.guard import requests
from turnlane.guard.requests import Request


def active() -> list[Request]:
    """Those that have not ended."""
    return [request for request in requests.active if request.host != "pytest"]


def in_request() -> bool:
    """Whether this code is part of one."""
    request = requests.current.get()
    return request is not None and request.host != "pytest"
