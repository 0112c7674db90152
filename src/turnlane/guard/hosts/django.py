"""Django: what its requests say of whose they are; they begin and end in `asgi` and `wsgi`."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard import requests
from turnlane.guard.hosts.http import Exchange
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
            read: bytes = original.fget(self)
            _received(read)
            return read

        return property(body, doc=original.__doc__)

    def make_form(original: Any) -> Any:
        @functools.wraps(original)
        def _load_post_and_files(self: Any) -> None:
            original(self)
            current = requests.current.get()
            if current is not None and self._post:
                current.learn(self._post.dict())
                current.notes.setdefault("brought", []).extend(self._post.dict().values())

        return _load_post_and_files

    replace(module.HttpRequest, "body", make_body)
    replace(module.HttpRequest, "_load_post_and_files", make_form)


def _received(body: bytes) -> None:
    request = requests.current.get()
    exchange = request.notes.get("exchange") if request is not None else None
    if isinstance(exchange, Exchange):
        exchange.received(body, more=False)
