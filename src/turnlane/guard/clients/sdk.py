"""The SDKs: one call of theirs is one question, however often they ask it on the wire."""

from __future__ import annotations

import contextlib
import functools
from types import ModuleType
from typing import Any, Final

from turnlane.guard import failures, requests, runs, stacks
from turnlane.guard.clients import attempts, wire
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import Plain, replace, watch_coroutine
from turnlane.guard.requests import Failure

SDKS: Final = ("openai", "anthropic", "groq", "together")
"""Packages that are made by one generator, and alike inside."""


_ASKING: Final = {
    "openai.resources.chat.completions.completions": "AsyncCompletions",
    "openai.resources.responses.responses": "AsyncResponses",
}
"""The classes, by their modules, whose methods ask a model once they are awaited."""


def install() -> None:
    """Wait for the packages."""
    for name in SDKS:
        when_imported(f"{name}._base_client", _patch)
    for module, name in _ASKING.items():
        when_imported(module, functools.partial(_asking, name))


def _asking(name: str, module: ModuleType) -> None:
    for entry in ("create", "parse"):
        watch_coroutine(getattr(module, name), entry, Plain(), of_users=True)


def _patch(module: ModuleType) -> None:
    watch_coroutine(module.AsyncAPIClient, "close", Plain())
    replace(module.AsyncAPIClient, "request", _watched_async)
    replace(module.SyncAPIClient, "request", _watched)


def _watched_async(original: Any) -> Any:
    @functools.wraps(original)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = wire.safely(_begin, self, options)
        if call is None:
            return await original(self, cast_to, options, *args, **kwargs)
        with _Current(call):
            return await original(self, cast_to, options, *args, **kwargs)

    return request


def _watched(original: Any) -> Any:
    @functools.wraps(original)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        call = wire.safely(_begin, self, options)
        if call is None:
            return original(self, cast_to, options, *args, **kwargs)
        with _Current(call):
            return original(self, cast_to, options, *args, **kwargs)

    return request


class _Current:
    """What is sent on the wire meanwhile belongs to this call."""

    __slots__ = ("call", "token")

    def __init__(self, call: attempts.Call) -> None:
        self.call = call

    def __enter__(self) -> None:
        self.token = attempts.current_call.set(self.call)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            if error is not None:
                wire.safely(failed, self.call, error)
        finally:
            with contextlib.suppress(ValueError):  # closed in another context than it ran in
                attempts.current_call.reset(self.token)


def _begin(client: Any, options: Any) -> attempts.Call | None:
    if not wire.asks_model(str(options.url)):
        return None
    retries = options.max_retries if isinstance(getattr(options, "max_retries", None), int) else client.max_retries
    return attempts.Call(type(client).__name__, int(retries) + 1)


def failed(call: attempts.Call, error: BaseException) -> None:
    """A model call failed for good: its status and the provider's code belong to what is told of the request."""
    attempts.failed(call, error)
    run = runs.enclosing()
    request = run.request if run is not None else requests.current.get()
    failures.saw(
        request,
        Failure(error, stacks.of_exception(error), agent=run.label if run is not None else None, tool=None),
    )
