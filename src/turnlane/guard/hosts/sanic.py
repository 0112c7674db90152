"""Sanic's own server; under another ASGI server it is an ASGI application."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard import journals, requests
from turnlane.guard.hosts.http import Exchange, start_afresh
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace


def install() -> None:
    """Wait for the server."""
    when_imported("sanic.app", _application)


def _application(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def handle_request(self: Any, request: Any) -> Any:
            current = requests.current.get()
            inside_asgi = current is not None and current.host == "asgi" and not current.ended
            exchange = None if inside_asgi else _exchange(request)
            if exchange is None:
                return await original(self, request)
            start_afresh()
            with requests.within(exchange.request):
                try:
                    return await original(self, request)
                finally:
                    _finish(exchange, request)

        return handle_request

    replace(module.Sanic, "handle_request", make)


def _exchange(request: Any) -> Exchange | None:
    try:
        exchange = Exchange("sanic", request.method, request.path, request.headers.items(), request.query_string)
    except Exception as error:
        journals.trouble("sanic request", error)
        return None
    return exchange


def _finish(exchange: Exchange, request: Any) -> None:
    try:
        exchange.request.learn(dict(getattr(request, "match_info", None) or {}))
        response = getattr(getattr(request, "stream", None), "response", None)
        exchange.status = getattr(response, "status", None)
        exchange.answered(getattr(response, "body", None) or b"")
    except Exception as error:
        journals.trouble("sanic response", error)
    exchange.ended()
