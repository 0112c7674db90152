"""What a program has said of its exceptions: in the log, on its terminal, to a collector of errors."""

from __future__ import annotations

import builtins
import functools
import logging
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final

from turnlane.guard import loops, requests
from turnlane.guard.failures import causes
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request, text_of

MAX_KEPT: Final = 50
MAX_TEXT: Final = 4000
MAX_LOGGED: Final = 200

NOT_THE_PROGRAM: Final = ("autogen", "ag2", "agent_framework", "openai", "httpx", "httpcore", "asyncio")
"""Loggers that speak for a library: they do not say which request it was."""

_OWN: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None)))

TAKEN: Final = ("print_exc", "print_exception", "format_exc", "format_exception", "format_exception_only")
"""Functions of `traceback`: who asks for an exception's text puts it somewhere."""


def install() -> None:
    """Listen to logging, `print`, `traceback` and collectors of errors."""
    replace(logging.Logger, "callHandlers", _watched_log)
    replace(builtins, "print", _watched_print)
    for name in TAKEN:
        replace(traceback, name, _watched_traceback)
    when_imported("loguru._logger", _loguru)
    when_imported("sentry_sdk.api", _sentry)
    when_imported("opentelemetry.sdk.trace", _opentelemetry)


def has_told(request: Request, errors: Iterable[BaseException], answer: bytes) -> bool:
    """Whether the log or the answer names one of these exceptions, or what they come from."""
    texts = [*request.notes.get("said", ()), answer.decode("utf-8", "replace")]
    for error in errors:
        for cause in causes(error):
            if id(cause) in request.logged or any(_names(text, cause) for text in texts):
                return True
    return False


def forget(request: Request) -> None:
    """The request is over."""
    request.notes.pop("said", None)


def _names(text: str, error: BaseException) -> bool:
    kind = type(error).__name__
    if kind != "HTTPException" and kind in text:
        return True
    words = next((line.strip() for line in text_of(error).splitlines() if line.strip()), "")[:80]
    return len(words) > 3 and kind != "HTTPException" and words in text


def _concerned() -> Request | None:
    """The request whose failures may be spoken of now."""
    request = requests.current.get()
    if request is None or not (request.failures or sys.exc_info()[1] is not None):
        return None
    return request


def _note(request: Request, error: BaseException | None, text: str) -> None:
    if error is not None:
        request.logged.extend(id(cause) for cause in causes(error))
        del request.logged[:-MAX_LOGGED]
    said = request.notes.setdefault("said", [])
    if text and len(said) < MAX_KEPT:
        said.append(text[:MAX_TEXT])


def _watched_log(original: Any) -> Any:
    @functools.wraps(original)
    def callHandlers(self: Any, record: logging.LogRecord) -> None:
        request = _concerned()
        if request is not None and record.name.partition(".")[0] not in NOT_THE_PROGRAM:
            _logged(request, record)
        original(self, record)

    return callHandlers


def _logged(request: Request, record: logging.LogRecord) -> None:
    try:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        loops.look_at(error)
        _note(request, error, record.getMessage())
        for name in vars(record).keys() - _OWN:  # `extra`, for a formatter that writes it
            value = getattr(record, name)
            _note(request, value if isinstance(value, BaseException) else None, str(value))
    except Exception:  # a message that does not fit its arguments: logging tells that itself
        return


def _watched_print(original: Any) -> Any:
    @functools.wraps(original)
    def print(*args: Any, **kwargs: Any) -> None:
        request = _concerned()
        if request is not None:
            _printed(request, args)
        original(*args, **kwargs)

    return print


def _printed(request: Request, args: tuple[Any, ...]) -> None:
    for value in args:
        if isinstance(value, BaseException):
            _note(request, value, "")
        elif isinstance(value, str):
            _note(request, None, value)


def _watched_traceback(original: Any) -> Any:
    @functools.wraps(original)
    def taken(*args: Any, **kwargs: Any) -> Any:
        request = _concerned()
        if request is not None:
            error = next((value for value in args if isinstance(value, BaseException)), sys.exc_info()[1])
            _note(request, error, "")
        return original(*args, **kwargs)

    return taken


def _loguru(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def _log(self: Any, level: Any, from_decorator: Any, options: Any, message: Any, *rest: Any) -> Any:
            request = _concerned()
            if request is not None:
                _logged_by_loguru(request, options[0] if options else None, (message, *rest))
            return original(self, level, from_decorator, options, message, *rest)

        return _log

    replace(module.Logger, "_log", make)


def _logged_by_loguru(request: Request, given: Any, parts: tuple[Any, ...]) -> None:
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    try:
        _note(request, error, " ".join(map(str, parts)))
    except Exception:  # an object that can't be shown: the program finds that out itself, if it shows it
        return


def _sentry(module: ModuleType) -> None:
    replace(module, "capture_exception", _watched_traceback)


def _opentelemetry(module: ModuleType) -> None:
    replace(module.Span, "record_exception", _watched_traceback)
