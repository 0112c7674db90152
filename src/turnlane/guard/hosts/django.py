"""Django: what its requests say of whose they are; they begin and end in `asgi` and `wsgi`."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard import requests
from turnlane.guard.hosts.http import read, read_form
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace


def install() -> None:
    """Wait for the framework."""
    when_imported("django.core.handlers.base", _handler)
    when_imported("django.http.request", _request)


def _handler(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def resolve_request(self: Any, request: Any) -> Any:
            match = original(self, request)
            current = requests.current.get()
            if current is not None and isinstance(match.kwargs, dict):
                current.learn(match.kwargs)
            return match

        return resolve_request

    replace(module.BaseHandler, "resolve_request", make)


def _request(module: ModuleType) -> None:
    """A body is known when the program has read it; forms are parsed from it."""

    def make_body(original: Any) -> Any:
        def body(self: Any) -> Any:
            whole: bytes = original.fget(self)
            read(whole)
            return whole

        return property(body, doc=original.__doc__)

    def make_form(original: Any) -> Any:
        @functools.wraps(original)
        def _load_post_and_files(self: Any) -> None:
            original(self)
            if self._post:
                read_form(self._post.dict())

        return _load_post_and_files

    replace(module.HttpRequest, "body", make_body)
    replace(module.HttpRequest, "_load_post_and_files", make_form)
