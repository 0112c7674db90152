"""Hosts a function or app behind HTTP, in a process of its own: `python -m turnlane.probe.host NAME PORT`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from turnlane.probe.handler_call import CannotCall, answer_json, arguments, whole

HOST: Final = "127.0.0.1"
CANNOT_HOST: Final = 2
"""Exit status when the target is nothing to host; the last line of the output says why."""
UNCALLABLE: Final = "cannot be called"
"""Type of the error that is answered when a simulated user has nothing for a parameter."""


class CannotHost(Exception):
    """The target is not what can be hosted; its text is a sentence."""


def main(words: list[str]) -> int:
    """Host `TARGET` at `PORT` until a signal. Returns the exit status."""
    target, port = words[0], int(words[1])
    try:
        found = loaded(target)
        app = None if is_wsgi(found) else application(found)
    except CannotHost as error:
        # On one line: the probe shows the last one. What was raised may have several.
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return CANNOT_HOST
    if app is None:
        _serve_wsgi(found, port)
        return 0
    # uvicorn imports no application here: a string would be imported a second time.
    config = uvicorn.Config(app, host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run()
    return 0


def loaded(target: str) -> Any:
    """The object that `my_app:handler` or `app.py:handler` names.

    Raises:
        CannotHost: there is none, or its module cannot be imported.
    """
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise CannotHost(f"{target!r} names no handler: write my_app:handler or app.py:handler.")
    module = _module(place)
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError:
        shown = ", ".join(sorted(n for n, value in vars(module).items() if callable(value) and n[0] != "_")[:12])
        raise CannotHost(f"{place} has no {name!r}; it has {shown or 'nothing to call'}.") from None


def application(found: Any) -> Any:
    """The ASGI app that serves `found`: itself if it is one, else one that calls it at `POST /`."""
    if is_asgi(found):
        return found
    handler = _handler(found)
    route = Route("/", _endpoint(handler), methods=["POST"])
    return Starlette(routes=[route])


def is_asgi(found: Any) -> bool:
    """Whether `found` is called with scope, receive and send."""
    names = _parameter_names(found)
    return names[:3] == ["scope", "receive", "send"]


def is_wsgi(found: Any) -> bool:
    """Whether `found` is called with environ and start_response."""
    return _parameter_names(found)[:2] == ["environ", "start_response"]


def _parameter_names(found: Any) -> list[str]:
    if isinstance(found, type) or not callable(found):
        return []
    try:
        return list(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return []


def _handler(found: Any) -> Callable[..., Any]:
    """What is called for each message.

    Raises:
        CannotHost: `found` cannot be called, and is no agent or team either.
    """
    if isinstance(found, type):
        found = found()
    if callable(found):
        handler: Callable[..., Any] = found
        return handler
    if callable(getattr(found, "run", None)):
        agent = found

        async def run(prompt: str) -> Any:
            return await whole(agent.run(task=prompt))

        return run
    raise CannotHost(f"{type(found).__name__} cannot be called: name a function, an app, or an agent.")


def _endpoint(handler: Callable[..., Any]) -> Callable[[Request], Any]:
    is_async = inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)
    is_async = is_async or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 - its kind

    async def endpoint(request: Request) -> JSONResponse:
        try:
            positional, named = arguments(handler, await request.json())
            if is_async:
                answer = handler(*positional, **named)
            else:  # as web frameworks do with plain functions
                answer = await run_in_threadpool(handler, *positional, **named)
            return JSONResponse(answer_json(await whole(answer)))
        except CannotCall as error:
            return JSONResponse({"error": {"type": UNCALLABLE, "message": str(error)}}, status_code=422)
        except Exception as error:
            traceback.print_exc()
            told = {"type": type(error).__qualname__, "message": str(error)}
            return JSONResponse({"error": told}, status_code=500)

    return endpoint


def _module(place: str) -> Any:
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise CannotHost(f"There is no file {place}.")
    root, name = _importable(path.resolve()) if is_file else (Path.cwd(), place)
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name) if "." in name or not is_file else _executed(path)
    except ModuleNotFoundError as error:
        if f"{place}.".startswith(f"{error.name}."):
            raise CannotHost(f"There is no module {place!r} in {os.getcwd()} or among the packages.") from None
        traceback.print_exc()
        raise CannotHost(f"{place} needs the package {error.name!r}, which is not installed.") from error
    except Exception as error:
        traceback.print_exc()
        raise CannotHost(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


def _importable(path: Path) -> tuple[Path, str]:
    """The folder to import a file from, and its name there: a module of a package imports its neighbours."""
    root, name = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, name = root.parent, f"{root.name}.{name}"
    return root, name.removesuffix(".__init__")


def _executed(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _serve_wsgi(app: Any, port: int) -> None:
    """A server with a thread for each request: Flask's own development server, without its reloader."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Threads(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        request_queue_size = 128

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            logging.getLogger(__name__).debug(format, *args)

    with contextlib.suppress(KeyboardInterrupt):
        make_server(HOST, port, app, server_class=Threads, handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
