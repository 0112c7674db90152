"""The HTTP clients, `httpx` and `httpx2`: each that is made, used and closed, and each model call that is sent."""

from __future__ import annotations

import functools
import re
import sys
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, shared_history
from turnlane.guard.clients import attempts, belonging, blocking, bursts, cut_answers, dropped
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import HazardError
from turnlane.guard.patching import as_coroutine_function, replace, watch_construction

_MODEL_CALL: Final = re.compile(
    r"(?:/chat/completions|/responses|/completions|/v1/messages|:(?:stream)?[gG]enerateContent)$"
)
"""Ends the path of a request that asks a model."""


def install() -> None:
    """Wait for both packages."""
    for name in ("httpx._client", "httpx2._client"):
        when_imported(name, _patch)


def _patch(module: ModuleType) -> None:
    for kind in (module.AsyncClient, module.Client):
        watch_construction(kind, "client", after=dropped.made)
    replace(module.AsyncClient, "send", _watched_async_send)
    replace(module.Client, "send", _watched_send)
    for name in ("aclose", "__aexit__"):
        replace(module.AsyncClient, name, lambda original: as_coroutine_function(_watched_close(original)))
    for name in ("close", "__exit__"):
        replace(module.Client, name, _watched_close)


@functools.lru_cache(maxsize=256)
def asks_model(path: str) -> bool:
    """Whether a request of this path, with its query or without, asks a model: a program has few of them."""
    return _MODEL_CALL.search(path.partition("?")[0]) is not None


def _watched_async_send(original: Any) -> Any:
    @functools.wraps(original)
    async def send(self: Any, request: Any, **kwargs: Any) -> Any:
        with Sending(self, request) as sending:
            sending.response = await original(self, request, **kwargs)
        return sending.response

    return send


def _watched_send(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        with Sending(self, request, blocks=True) as sending:
            sending.response = original(self, request, **kwargs)
        return sending.response

    return send


class Sending:
    """What a client's request shows, before it is sent and after.

    Attributes:
        response: None until it is answered.
        attempt: None when it asks no model.
    """

    __slots__ = ("attempt", "blocks", "client", "request", "response")

    def __init__(self, client: Any, request: Any, *, blocks: bool = False) -> None:
        self.client = client
        self.request = request
        self.blocks = blocks
        self.response: Any = None
        self.attempt: attempts.Attempt | None = None

    def __enter__(self) -> Sending:
        safely(belonging.used, self.client)
        safely(dropped.used, self.client)
        safely(self._begins)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self.attempt is not None:
            safely(_ends, self.attempt, self.response, error)

    def _begins(self) -> None:
        request = self.request
        if request.method != "POST" or not asks_model(request.url.path):
            return
        if self.blocks:
            blocking.asked()
        self.attempt = attempts.begin(request)
        bursts.begins(self.attempt)
        shared_history.asked(request.content)


def _watched_close(original: Any) -> Any:
    @functools.wraps(original)
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The finaliser of the SDK's own client tries to close it in whatever loop happens to run: no close.
        if sys._getframe(1).f_code.co_name != "__del__":
            safely(dropped.closed, self)
        return original(self, *args, **kwargs)

    return close


def _ends(attempt: attempts.Attempt, response: Any, error: BaseException | None) -> None:
    attempts.end(attempt, response, error)
    bursts.ends(attempt)
    if response is not None and response.status_code < 300:
        cut_answers.watch(attempt, response)


def safely(function: Any, *args: Any) -> Any:
    """Call a rule; its own errors are told once and swallowed, what strict mode raises is not."""
    try:
        return function(*args)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"{function.__module__}.{function.__qualname__}", error)
        return None
