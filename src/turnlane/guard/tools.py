"""Calls of tools: what runs inside one is part of the run that called it, and what one raises is told."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from typing import Any

from turnlane.guard import journals, runs, stacks
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.patching import replace
from turnlane.guard.requests import text_of
from turnlane.guard.runs import ToolCall
from turnlane.guard.stacks import Stack, has_users, is_served, of_exception

beginning: list[Callable[[ToolCall, Any], None]] = []
"""Called with each tool call and the user's function, when it is known, before it runs."""
ending: list[Callable[[ToolCall, BaseException | None], None]] = []
"""Called with each tool call when it has ended, and what it raised; what it returned is in its notes."""
going: set[ToolCall] = set()
"""The tool calls that go on now."""

About = Callable[[ToolCall, tuple[Any, ...], dict[str, Any]], None]
"""Notes what a framework hands to a tool."""


def watch_tool(
    owner: type,
    name: str,
    label: Callable[[Any], str],
    function: Callable[[Any], Any] = lambda _: None,
    about: About | None = None,
) -> bool:
    """Watch the method of a tool that runs it: async or not, or one that returns an async iterator.

    Args:
        label: the tool's name, from the tool.
        function: the user's function behind it, from the tool.
        about: notes the arguments.
    """

    def make(original: Any) -> Any:
        if inspect.isasyncgenfunction(original):

            @functools.wraps(original)
            async def streamed(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
                call = _begin(label, function, about, self, args, kwargs)
                async for item in _in_call(call, original(self, *args, **kwargs)):
                    yield item

            return streamed
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
                with _Current(_begin(label, function, about, self, args, kwargs)) as call:
                    steps = call.notes.get("steps")
                    coroutine = call.notes["coroutine"] = original(self, *args, **kwargs)
                    result = call.notes["result"] = await (coroutine if steps is None else steps(coroutine))
                return result

            return awaited

        @functools.wraps(original)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            with _Current(_begin(label, function, about, self, args, kwargs)) as call:
                result = call.notes["result"] = original(self, *args, **kwargs)
            return result

        return called

    return replace(owner, name, make)


class _Current:
    """What runs meanwhile is part of this call, which ends with it."""

    __slots__ = ("call", "token")

    def __init__(self, call: ToolCall) -> None:
        self.call = call

    def __enter__(self) -> ToolCall:
        self.token = runs.current_tool.set(self.call)
        return self.call

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            end(self.call, error, self.call.notes.get("result"))
        finally:
            runs.unset_tool(self.token)


def _begin(
    label: Callable[[Any], str],
    function: Callable[[Any], Any],
    about: About | None,
    tool: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> ToolCall:
    try:
        name, behind = label(tool), function(tool)
    except Exception as error:  # a property of the user's own class
        journals.trouble("tool", error)
        name, behind = type(tool).__name__, None
    return begin(name, behind, args, kwargs, about, skip=3)


@stacks.unseen_by_warnings
async def _in_call(call: ToolCall, items: Any) -> AsyncGenerator[Any, None]:
    iterator = items.__aiter__()
    try:
        while True:
            token = runs.current_tool.set(call)
            try:
                item = await iterator.__anext__()
            except StopAsyncIteration:
                break
            finally:
                runs.unset_tool(token)
            yield item
    except BaseException as error:
        end(call, error)
        raise
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
    end(call, None)


def begin(
    name: str,
    function: Any = None,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    about: About | None = None,
    *,
    skip: int = 2,
) -> ToolCall:
    """A tool is called by the run that goes on."""
    call = ToolCall(name, runs.enclosing())
    call.stack = stacks.capture_near(skip)
    _safely(_note_code, call, function)
    if call.run is not None:
        for run in (call.run, *call.run.ancestors()):
            run.notes["tools"] = True
    going.add(call)
    if about is not None:
        _safely(about, call, args, kwargs or {})
    for listener in beginning:
        _safely(listener, call, function)
    return call


def _note_code(call: ToolCall, function: Any) -> None:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is not None:
        call.notes["code"] = code


def end(call: ToolCall, error: BaseException | None, result: Any = None) -> None:
    """A tool has returned or raised (TL401)."""
    if call.ended:
        return
    call.ended = True
    going.discard(call)
    call.notes["result"] = result
    try:
        for listener in ending:
            _safely(listener, call, error)
        if error is not None and not isinstance(error, asyncio.CancelledError | GeneratorExit | HazardError):
            _safely(raised, call, error)
    finally:
        # The program's objects: a run inside it remembers the call.
        for name in ("result", "arguments", "steps", "function"):
            call.notes.pop(name, None)


def defined(call: ToolCall) -> Stack:
    """Where the user's function of a tool is defined, as a stack of one line; empty when it is not known."""
    code = call.notes.get("code")
    return ((code, code.co_firstlineno),) if code is not None else ()


def both(one: ToolCall, other: ToolCall) -> str:
    """Two calls, for people."""
    if one.name == other.name:
        return f"Two calls of the tool {one.name!r}"
    return f"The tools {one.name!r} and {other.name!r}"


def requests_of(*calls: ToolCall) -> list[str]:
    """The ids of the requests that made them."""
    made = (call.run.request for call in calls if call.run is not None)
    return list(dict.fromkeys(request.id for request in made if request is not None))


def raised(call: ToolCall, error: BaseException) -> None:
    """A tool raised: the framework will tell the model its text, and the type is lost."""
    from turnlane.guard import answers

    agent = call.run.label if call.run is not None else None
    runs.failed(error, agent=agent, tool=call.name, run=call.run)
    stack = of_exception(error)
    if id(error) in call.notes.get("errors", ()) or not has_users(stack):
        return  # a run inside it failed, or the framework refused what the model wrote: not the tool's doing
    if type(error).__module__.startswith("turnlane."):
        return  # turnlane.ToolError: said on purpose
    if is_served(call.stack):
        return  # the model is told the type, and the log the text
    call.notes["error_stack"] = stack
    sighting = _raised(call, error, stack)
    if answers.may_leak(call, text_of(error), otherwise=sighting):
        return
    journals.report(sighting)


def _raised(call: ToolCall, error: BaseException, stack: Stack) -> Sighting:
    from turnlane.guard.meetings import with_stacks

    run = call.run
    request = run.request if run is not None else None
    return Sighting(
        code="TL401",
        message=f"The tool {call.name!r} raised {type(error).__name__}; the model is told its text, "
        "the type is lost.",
        stack=stack,
        stacks=with_stacks(
            ("raised here", stack), ("the run that called the tool", run.place_stack if run else ())
        ),
        object=f"tool {call.name!r}" + (f" of {run.label}" if run is not None else ""),
        request=request.id if request else None,
        conversation=request.conversation if request else None,
        measures={"exception": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")},
    )


def _safely(listener: Callable[..., None], *args: Any) -> None:
    try:
        listener(*args)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("tool", error)
