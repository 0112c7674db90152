"""Hosts that do somebody's work in one call: a task, a cell, a session's script, an event."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from turnlane.guard import journals, requests, runs
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request

Maker = Callable[[tuple[Any, ...], dict[str, Any]], Request | None]
"""Says whose work a call is, from its arguments; None: of nobody new."""


def watch(owner: Any, name: str, whose: Maker) -> bool:
    """Put each call of `owner.name` within the request that `whose` makes for it."""
    return replace(owner, name, lambda original: wrapped(original, whose))


def wrapped(function: Any, whose: Maker) -> Any:
    """`function`, async or not, each call within a request of its own."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def called(*args: Any, **kwargs: Any) -> Any:
            with _within(whose, args, kwargs):
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with _within(whose, args, kwargs):
                return function(*args, **kwargs)

    return called


@contextmanager
def _within(whose: Maker, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    try:
        request = whose(args, kwargs)
    except Exception as error:
        journals.trouble(f"request of {getattr(whose, '__name__', 'a host')}", error)
        request = None
    if request is None:
        yield
        return
    outer = requests.current.get()
    if outer is not None and not outer.ended:
        with requests.within(request):
            yield
        return
    # A worker's thread or loop may have been started by somebody's work; what it does now is not part of that.
    tokens = requests.current.set(None), runs.current.set(None), runs.current_tool.set(None)
    try:
        with requests.within(request):
            yield
    finally:
        _reset(tokens)


def _reset(tokens: tuple[Any, Any, Any]) -> None:
    with suppress(ValueError):  # closed in another context than it began in
        requests.current.reset(tokens[0])
        runs.current.reset(tokens[1])
        runs.current_tool.reset(tokens[2])


def with_arguments(request: Request, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    """Learn whose work it is from the names of the function's parameters."""
    try:
        arguments = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        arguments = dict(kwargs)
    request.learn(arguments)
    request.notes["brought"] = [value for value in arguments.values() if isinstance(value, str | dict | list)]
    for value in arguments.values():
        if isinstance(value, dict):
            request.learn(value)
    return request
