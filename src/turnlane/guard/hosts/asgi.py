"""ASGI: uvicorn and gunicorn's worker of it, hypercorn, and applications that a test or another server calls."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, requests
from turnlane.guard.hosts.http import Exchange, start_afresh
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

APPLICATIONS: Final = {
    "starlette.applications": "Starlette",
    "quart.app": "Quart",
    "django.core.handlers.asgi": "ASGIHandler",
    "litestar.app": "Litestar",
    "falcon.asgi.app": "App",
    "sanic.app": "Sanic",
}
"""Where frameworks have the class whose objects are called; FastAPI's derives from Starlette's."""


def install() -> None:
    """Wait for the servers and the frameworks."""
    when_imported("uvicorn.config", _uvicorn)
    when_imported("hypercorn.app_wrappers", _hypercorn)
    when_imported("starlette.requests", functools.partial(_path_parameters, name="HTTPConnection"))
    when_imported("litestar.connection.base", functools.partial(_path_parameters, name="ASGIConnection"))
    for module, name in APPLICATIONS.items():
        when_imported(module, functools.partial(_application, name=name))


def _application(module: ModuleType, *, name: str) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def __call__(self: Any, scope: Scope, receive: Receive, send: Send, *rest: Any) -> Any:
            if scope["type"] not in ("http", "websocket") or _is_part_of_current(scope):
                return await original(self, scope, receive, send, *rest)
            return await _within(functools.partial(original, self), scope, receive, send, rest)

        return __call__

    replace(getattr(module, name), "__call__", make)


def _uvicorn(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def load(self: Any) -> None:
            original(self)
            self.loaded_app = served(self.loaded_app)

        return load

    replace(module.Config, "load", make)


def _hypercorn(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        async def __call__(self: Any, scope: Scope, receive: Receive, send: Send, *rest: Any) -> Any:
            if scope["type"] not in ("http", "websocket"):
                return await original(self, scope, receive, send, *rest)
            return await _from_outside(functools.partial(original, self), scope, receive, send, rest)

        return __call__

    replace(module.ASGIWrapper, "__call__", make)


def served(app: Any) -> Any:
    """The application as a server shall call it. Whatever else the server asks it, it answers itself."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] not in ("http", "websocket"):
            return await app(scope, receive, send)
        return await _from_outside(app, scope, receive, send, ())

    return watched


async def _from_outside(app: Any, scope: Scope, receive: Receive, send: Send, rest: tuple[Any, ...]) -> Any:
    """A request of a server."""
    start_afresh()
    return await _within(app, scope, receive, send, rest)


async def _within(app: Any, scope: Scope, receive: Receive, send: Send, rest: tuple[Any, ...]) -> Any:
    exchange = _exchange(scope)
    if exchange is None:
        return await app(scope, receive, send, *rest)
    with requests.within(exchange.request):
        try:
            return await app(scope, _receiving(exchange, receive), _sending(exchange, send), *rest)
        except BaseException as error:
            exchange.error = error
            raise
        finally:
            exchange.ended()


def _exchange(scope: Scope) -> Exchange | None:
    try:
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        method = scope.get("method", "WEBSOCKET")
        exchange = Exchange("asgi", method, scope["path"], headers, query)
        exchange.request.notes.update(headers=scope["headers"], exchange=exchange)
    except Exception as error:
        journals.trouble("asgi request", error)
        return None
    return exchange


def _is_part_of_current(scope: Scope) -> bool:
    """Whether a server or an outer application has begun this request; inner ones get copies of its scope."""
    current = requests.current.get()
    return (
        current is not None
        and current.host == "asgi"
        and not current.ended
        and current.notes.get("headers") is scope.get("headers", ())
    )


def _receiving(exchange: Exchange, receive: Receive) -> Receive:
    async def received() -> Message:
        message = await receive()
        try:
            _learn(exchange, message)
        except Exception as error:
            journals.trouble("asgi receive", error)
        return message

    return received


def _learn(exchange: Exchange, message: Message) -> None:
    if message["type"] == "http.request":
        exchange.received(message.get("body", b""), more=message.get("more_body", False))
    elif message["type"] in ("http.disconnect", "websocket.disconnect"):
        exchange.request.notes["disconnected"] = True
    elif message["type"] == "websocket.receive":
        text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
        if text.startswith("{"):
            exchange.request.learn_json(text.encode())


def _sending(exchange: Exchange, send: Send) -> Send:
    async def sent(message: Message) -> None:
        try:
            _answers(exchange, message)
        except Exception as error:  # what is wrong with a message is for the server to say
            journals.trouble("asgi send", error)
        await send(message)

    return sent


def _answers(exchange: Exchange, message: Message) -> None:
    kind = message["type"]
    if kind == "http.response.start":
        exchange.status = message["status"]
    elif kind == "http.response.body":
        exchange.answered(message.get("body", b""))


def _path_parameters(module: ModuleType, *, name: str) -> None:
    """Whoever looks at a request after its route was found has its path's parameters in hand."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def __init__(self: Any, scope: Scope, *args: Any, **kwargs: Any) -> None:
            original(self, scope, *args, **kwargs)
            request = requests.current.get()
            if request is not None and scope.get("path_params"):
                request.learn(scope["path_params"])

        return __init__

    replace(getattr(module, name), "__init__", make)
