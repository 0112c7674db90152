"""Sanic's own server; under another ASGI server it is an ASGI application."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard import journals, requests
from turnlane.guard.hosts.http import Exchange, of_web_request, read, start_afresh
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace


def install() -> None:
    """Wait for the server."""
    when_imported("sanic.server.protocols.http_protocol", _protocol)
    when_imported("sanic.request.types", _request)


def _protocol(module: ModuleType) -> None:
    """A connection's handler is watched, not the application's method: Sanic compiles that anew when it starts."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def _setup(self: Any) -> None:
            original(self)
            self.request_handler = _watched(self.request_handler)

        return _setup

    replace(module.HttpProtocolMixin, "_setup", make)


def _watched(original: Any) -> Any:
    @functools.wraps(original)
    async def handle_request(request: Any) -> Any:
        exchange = of_web_request("sanic", request)
        if exchange is None:
            return await original(request)
        start_afresh()
        with requests.within(exchange.request):
            try:
                return await original(request)
            finally:
                _finish(exchange, request)

    return handle_request


def _finish(exchange: Exchange, request: Any) -> None:
    try:
        response = getattr(getattr(request, "stream", None), "response", None)
        exchange.status = getattr(response, "status", None)
        exchange.answered(getattr(response, "body", None) or b"")
    except Exception as error:
        journals.trouble("sanic response", error)
    exchange.ended()


def _request(module: ModuleType) -> None:
    """A body is read when the route is known."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def receive_body(self: Any) -> None:
            await original(self)
            read(self.body, self.match_info)

        return receive_body

    replace(module.Request, "receive_body", make)
