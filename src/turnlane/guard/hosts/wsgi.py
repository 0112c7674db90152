"""WSGI: Flask, Django, Bottle, Falcon and Pyramid under any server."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, requests, runs
from turnlane.guard.hosts.http import Exchange, read, read_form
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace

APPLICATIONS: Final = {
    "flask.app": "Flask",
    "django.core.handlers.wsgi": "WSGIHandler",
    "bottle": "Bottle",
    "falcon.app": "App",
    "pyramid.router": "Router",
}


def install() -> None:
    """Wait for the frameworks."""
    for module, name in APPLICATIONS.items():
        when_imported(module, functools.partial(_application, host=module.partition(".")[0], name=name))
    for context in ("flask.ctx", "quart.ctx"):
        when_imported(context, _matched)
    when_imported("werkzeug.wrappers.request", _werkzeug)


def _application(module: ModuleType, *, host: str, name: str) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def __call__(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
            exchange = _exchange(host, environ)
            if exchange is None:
                return original(self, environ, start_response)
            return _answer(exchange, functools.partial(original, self), environ, start_response)

        return __call__

    replace(getattr(module, name), "__call__", make)


def _exchange(host: str, environ: dict[str, Any]) -> Exchange | None:
    try:
        headers = [(key[5:].replace("_", "-"), str(value)) for key, value in environ.items() if key[:5] == "HTTP_"]
        headers.append(("content-type", environ.get("CONTENT_TYPE", "")))
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        exchange = Exchange(host, environ["REQUEST_METHOD"], path, headers, environ.get("QUERY_STRING", ""))
        exchange.request.notes["exchange"] = exchange
    except Exception as error:
        journals.trouble("wsgi request", error)
        return None
    return exchange


def _answer(exchange: Exchange, app: Any, environ: dict[str, Any], start_response: Any) -> Any:
    """The answer, in whose pieces the request goes on until the server closes it."""
    request = exchange.request
    if (outer := requests.current.get()) is not None and not outer.ended:
        request.parent = outer
    requests.begin(request)
    try:
        with _current(exchange):
            pieces = app(environ, _starting(exchange, start_response))
    except BaseException as error:
        exchange.error = error
        _end(exchange)
        raise
    if _is_file(environ, pieces):  # servers send these by their own means, and look at the type
        _end(exchange)
        return pieces
    return _with_length(pieces)(exchange, pieces)


def _starting(exchange: Exchange, start_response: Callable[..., Any]) -> Callable[..., Any]:
    def started(status: str, headers: Any, *rest: Any, **named: Any) -> Any:
        with contextlib.suppress(ValueError):
            exchange.status = int(status[:3])
        return start_response(status, headers, *rest, **named)

    return started


def _is_file(environ: dict[str, Any], pieces: Any) -> bool:
    kind = environ.get("wsgi.file_wrapper")
    return isinstance(kind, type) and isinstance(pieces, kind)


@contextlib.contextmanager
def _current(exchange: Exchange) -> Iterator[None]:
    tokens = requests.current.set(exchange.request), runs.current.set(None), runs.current_tool.set(None)
    if exchange.request.parent is not None:
        runs.current.reset(tokens[1])
        runs.current_tool.reset(tokens[2])
    try:
        yield
    finally:
        requests.current.reset(tokens[0])
        if exchange.request.parent is None:
            runs.current.reset(tokens[1])
            runs.current_tool.reset(tokens[2])


def _end(exchange: Exchange) -> None:
    if exchange.request.ended:
        return
    try:
        with _current(exchange):
            exchange.ended()
    finally:
        requests.end(exchange.request)


class _Pieces:
    """The pieces of an answer; each is made within the request."""

    def __init__(self, exchange: Exchange, pieces: Iterable[bytes]) -> None:
        self._exchange = exchange
        self._pieces = pieces
        self._iterator = iter(pieces)

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        with _current(self._exchange):
            try:
                piece = next(self._iterator)
            except StopIteration:
                _end(self._exchange)
                raise
            except BaseException as error:
                self._exchange.error = error
                raise
        with contextlib.suppress(TypeError):  # what is wrong with a piece is for the server to say
            self._exchange.answered(piece)
        return piece

    def close(self) -> None:
        try:
            with _current(self._exchange):
                if hasattr(self._pieces, "close"):
                    self._pieces.close()
        finally:
            _end(self._exchange)

    def __del__(self) -> None:
        # A server that stopped half-way through and never closed it.
        with contextlib.suppress(Exception):
            requests.end(self._exchange.request)


class _CountedPieces(_Pieces):
    """Servers ask an answer for its length to know the content's."""

    def __len__(self) -> int:
        return len(self._pieces)  # type: ignore[arg-type]


def _with_length(pieces: Any) -> type[_Pieces]:
    return _CountedPieces if hasattr(pieces, "__len__") else _Pieces


def _matched(module: ModuleType) -> None:
    """Flask's and Quart's contexts: the path's parameters are known when its route is."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def match_request(self: Any) -> Any:
            result = original(self)
            request = requests.current.get()
            matched = getattr(self, "request_websocket", None) or getattr(self, "request", None)
            arguments = getattr(matched, "view_args", None)
            if request is not None and isinstance(arguments, dict):
                request.learn(arguments)
            return result

        return match_request

    for name in ("AppContext", "RequestContext", "_BaseRequestWebsocketContext"):  # one class since Flask 3.2
        owner = getattr(module, name, None)
        if isinstance(owner, type) and "match_request" in vars(owner):
            replace(owner, "match_request", make)


def _werkzeug(module: ModuleType) -> None:
    """A body is known when the program has read it: its stream is left alone."""

    def make_data(original: Any) -> Any:
        @functools.wraps(original)
        def get_data(self: Any, *args: Any, **kwargs: Any) -> Any:
            data = original(self, *args, **kwargs)
            read(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
            return data

        return get_data

    def make_form(original: Any) -> Any:
        @functools.wraps(original)
        def _load_form_data(self: Any) -> None:
            original(self)
            form = self.__dict__.get("form")
            if form:
                read_form(form.to_dict())

        return _load_form_data

    replace(module.Request, "get_data", make_data)
    replace(module.Request, "_load_form_data", make_form)
