"""Calls of tools: what runs inside one is part of the run that called it, and what leaves one as an exception is told."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from turnlane.guard import journals, runs, stacks
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.meetings import with_stacks
from turnlane.guard.patching import replace
from turnlane.guard.runs import ToolCall
from turnlane.guard.stacks import of_exception

beginning: list[Callable[[ToolCall, Any], None]] = []
"""Called with each tool call and the user's function, when it is known, before it runs."""
ending: list[Callable[[ToolCall, BaseException | None], None]] = []
"""Called with each tool call when it has ended, and what it raised."""


def watch_tool(
    owner: type, name: str, label: Callable[[Any], str], function: Callable[[Any], Any] = lambda _: None
) -> bool:
    """Watch the method of a tool that runs it, async or not.

    Args:
        label: the tool's name, from the tool.
        function: the user's function behind it, from the tool.
    """
    import inspect

    def make(original: Any) -> Any:
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def called(self: Any, *args: Any, **kwargs: Any) -> Any:
                call = begin(label(self), function(self))
                token = runs.current_tool.set(call)
                try:
                    result = await original(self, *args, **kwargs)
                except BaseException as error:
                    end(call, error)
                    raise
                finally:
                    runs.current_tool.reset(token)
                end(call, None)
                return result

        else:

            @functools.wraps(original)
            def called(self: Any, *args: Any, **kwargs: Any) -> Any:
                call = begin(label(self), function(self))
                token = runs.current_tool.set(call)
                try:
                    result = original(self, *args, **kwargs)
                except BaseException as error:
                    end(call, error)
                    raise
                finally:
                    runs.current_tool.reset(token)
                end(call, None)
                return result

        return called

    return replace(owner, name, make)


def begin(name: str, function: Any = None) -> ToolCall:
    """A tool is called by the run that goes on."""
    call = ToolCall(name, runs.enclosing())
    call.stack = stacks.capture(2)
    for listener in beginning:
        _safely(listener, call, function)
    return call


def end(call: ToolCall, error: BaseException | None) -> None:
    """A tool has returned or raised (TL401)."""
    if call.ended:
        return
    call.ended = True
    for listener in ending:
        _safely(listener, call, error)
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit | HazardError):
        return
    raised(call, error)


def raised(call: ToolCall, error: BaseException) -> None:
    """A tool raised: the framework will tell the model its text, and the type is lost."""
    agent = call.run.label if call.run is not None else None
    runs.failed(error, agent=agent, tool=call.name, run=call.run)
    stack = of_exception(error)
    request = call.run.request if call.run is not None else None
    journals.report(
        Sighting(
            code="TL401",
            message=f"The tool {call.name!r} raised {type(error).__name__}; the model is told its text, the type is lost.",
            stack=stack,
            stacks=with_stacks(
                ("raised here", stack), ("the run that called the tool", call.run.stack if call.run else ())
            ),
            object=f"tool {call.name!r}" + (f" of {agent}" if agent else ""),
            request=request.id if request else None,
            conversation=request.conversation if request else None,
            measures={
                "exception": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            },
        )
    )


def _safely(listener: Callable[..., None], *args: Any) -> None:
    try:
        listener(*args)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("tool", error)
