"""Tornado's web server; Jupyter's own requests run in it too, but none of its agents."""

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
    when_imported("tornado.web", _handlers)


def _handlers(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def _execute(self: Any, transforms: Any, *args: Any, **kwargs: Any) -> Any:
            exchange = _exchange(self.request, kwargs)
            if exchange is None:
                return await original(self, transforms, *args, **kwargs)
            start_afresh()
            with requests.within(exchange.request):
                try:
                    return await original(self, transforms, *args, **kwargs)
                finally:
                    exchange.status = self.get_status()
                    exchange.ended()

        return _execute

    replace(module.RequestHandler, "_execute", make)


def _exchange(request: Any, path: dict[str, Any]) -> Exchange | None:
    try:
        exchange = Exchange("tornado", request.method, request.path, request.headers.get_all(), request.query)
        exchange.request.learn(
            {key: value.decode() if isinstance(value, bytes) else value for key, value in path.items()}
        )
        exchange.received(request.body or b"", more=False)
    except Exception as error:
        journals.trouble("tornado request", error)
        return None
    return exchange
