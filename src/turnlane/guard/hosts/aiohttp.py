"""aiohttp's web server."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard import requests
from turnlane.guard.hosts.http import Exchange, of_web_request, read, start_afresh
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace


def install() -> None:
    """Wait for the server."""
    when_imported("aiohttp.web_app", _application)
    when_imported("aiohttp.web_request", _request)


def _application(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def _handle(self: Any, request: Any) -> Any:
            exchange = of_web_request("aiohttp", request)
            if exchange is None:
                return await original(self, request)
            start_afresh()
            with requests.within(exchange.request):
                try:
                    response = await original(self, request)
                except BaseException as error:
                    _raised(exchange, error)
                    raise
                else:
                    exchange.status = getattr(response, "status", None)
                    exchange.answered(_body(response))
                    return response
                finally:
                    exchange.ended()

        return _handle

    replace(module.Application, "_handle", make)


def _raised(exchange: Exchange, error: BaseException) -> None:
    status = getattr(error, "status", None)
    if isinstance(status, int):  # aiohttp's own HTTP exceptions are answers
        exchange.status = status
        exchange.answered(_body(error))
    else:
        exchange.error = error


def _body(response: Any) -> bytes:
    body = getattr(response, "body", None)
    return body if isinstance(body, bytes) else b""


def _request(module: ModuleType) -> None:
    """What the program reads of a request's body, and its path's parameters by then."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def read_body(self: Any) -> Any:
            body = await original(self)
            read(body, getattr(self, "match_info", None))
            return body

        return read_body

    replace(module.BaseRequest, "read", make)
