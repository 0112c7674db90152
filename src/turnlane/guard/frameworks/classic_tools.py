"""Tools of classic AutoGen: the framework catches what they raise, so they are watched where it looks them up."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from turnlane.guard import journals, runs, tools
from turnlane.guard.patching import replace
from turnlane.guard.runs import ToolCall

_executing: ContextVar[str | None] = ContextVar("turnlane_guard_classic_tool", default=None)
"""The name of the function that an agent is about to look up in order to call it."""


class Functions(dict[str, Any]):
    """An agent's functions by name: the same as ever, except for the one look-up that comes before a call."""

    def get(self, name: Any, default: Any = None) -> Any:
        function = super().get(name, default)
        if name is None or _executing.get() != name or not callable(function):
            return function
        _executing.set(None)
        return _watched(name, function)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def watch_functions(agent_type: type) -> None:
    """Watch what agents of this type run for their partners."""
    replace(agent_type, "execute_function", _executes)
    replace(agent_type, "a_execute_function", _executes_async)


def _look_up_is_watched(agent: Any) -> None:
    """The framework makes the map anew at every registration, so it is seen to before each call."""
    try:
        plain = getattr(agent, "_function_map", None)
        if type(plain) is not dict:
            return
        agent._function_map = watched = Functions(plain)
        if len(watched) != len(plain):  # another thread has registered one in between
            watched.update(plain)
    except Exception as error:
        journals.trouble("classic tools", error)


def _name_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    call = args[0] if args else kwargs.get("func_call")
    return call.get("name") if isinstance(call, dict) else None


def _executes(original: Any) -> Any:
    @functools.wraps(original)
    def execute_function(self: Any, *args: Any, **kwargs: Any) -> Any:
        _look_up_is_watched(self)
        token = _executing.set(_name_in(args, kwargs))
        try:
            return original(self, *args, **kwargs)
        finally:
            with contextlib.suppress(ValueError):
                _executing.reset(token)

    return execute_function


def _executes_async(original: Any) -> Any:
    @functools.wraps(original)
    async def a_execute_function(self: Any, *args: Any, **kwargs: Any) -> Any:
        _look_up_is_watched(self)
        token = _executing.set(_name_in(args, kwargs))
        try:
            return await original(self, *args, **kwargs)
        finally:
            with contextlib.suppress(ValueError):
                _executing.reset(token)

    return a_execute_function


def _watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for one call."""
    user = inspect.unwrap(function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def called_async(*args: Any, **kwargs: Any) -> Any:
            call = tools.begin(name, user, args, kwargs, _about)
            return await _to_its_end(call, function(*args, **kwargs))

        return called_async

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        call = tools.begin(name, user, args, kwargs, _about)
        token = runs.current_tool.set(call)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            tools.end(call, error)
            raise
        finally:
            runs.unset_tool(token)
        if inspect.isawaitable(result):  # a function that hides that it is async
            return _to_its_end(call, result)
        tools.end(call, None, result)
        return result

    return called


async def _to_its_end(call: ToolCall, awaitable: Any) -> Any:
    token = runs.current_tool.set(call)
    steps = call.notes.get("steps")
    try:
        result = await (steps(awaitable) if steps is not None and inspect.iscoroutine(awaitable) else awaitable)
    except BaseException as error:
        tools.end(call, error)
        raise
    finally:
        runs.unset_tool(token)
    tools.end(call, None, result)
    return result


def _about(call: ToolCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call.notes["arguments"] = (*args, *kwargs.values())
