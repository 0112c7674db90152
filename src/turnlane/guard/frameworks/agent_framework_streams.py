"""Entry points that are plain functions: they return a coroutine, or a stream object that must stay what it is."""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from turnlane.guard import journals, requests, runs, stacks, unawaited
from turnlane.guard.journal import HazardError
from turnlane.guard.objects import Watched
from turnlane.guard.patching import Watcher, begin_run, end_run, hear_result, outcome_of, replace
from turnlane.guard.requests import Request
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack
from turnlane.guard.unawaited import Made

_inside: ContextVar[object] = ContextVar("turnlane_guard_inside_run", default=None)
"""The agent whose entry point is being called: the layers below it are the same call."""


class Calls:
    """The last call of an entry point of each object, for one that refuses a second before the first has begun."""

    def __init__(self) -> None:
        self._last: weakref.WeakKeyDictionary[Any, tuple[Stack, Any]] = weakref.WeakKeyDictionary()

    def made(self, thing: Any, stack: Stack) -> None:
        """The entry point was called and did not refuse."""
        self._last[thing] = (stack, requests.current.get())

    def last(self, thing: Any, watched: Watched) -> Run | None:
        """That call as a run, which has not begun."""
        if thing not in self._last:
            return None
        stack, request = self._last[thing]
        run = Run(watched, watched.name(thing), "run", stack)
        run.request = request
        return run


Refused = Callable[[Any, tuple[Any, ...], dict[str, Any], Stack, Calls], None]


def watch_run(owner: type, name: str, watcher: Watcher, refused: Refused | None = None) -> bool:
    """Watch an entry point, whatever it returns.

    Args:
        refused: called when the entry point raises at once because another run goes on.
    """
    calls = Calls()

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            if _inside.get() is self:
                return original(self, *args, **kwargs)
            stack = stacks.capture()
            token = _inside.set(self)
            try:
                made = original(self, *args, **kwargs)
            except Exception as error:
                if refused is not None and "already running" in requests.text_of(error):
                    _safely(refused, self, args, kwargs, stack, calls)
                raise
            finally:
                _inside.reset(token)
            if refused is not None:
                _safely(calls.made, self, stack)
            call = _safely(Call, watcher, self, args, kwargs, stack, name)
            return made if call is None else _followed(made, call)

        return run

    return replace(owner, name, make)


def _safely(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble("agent framework", error)
        return None


class Call:
    """One call of an entry point, from the line that makes it until its run has ended."""

    def __init__(
        self, watcher: Watcher, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack, name: str
    ) -> None:
        self.watcher = watcher
        self.arguments = (thing, args, kwargs)
        self.made = Made(
            f"{type(thing).__name__} {thing.name!r}.{name}" if _is_named(thing) else name, stack, stream=False
        )
        self.run: Run | None = None

    def begin(self) -> None:
        """It is awaited or iterated, now or again."""
        if self.made.begun:
            return
        self.made.begins()
        self.run = begin_run(self.watcher, *self.arguments, self.made.stack)
        if self.run is not None and self.made.stream:
            self.run.notes["stream"] = self.run.notes["idle"] = True
            self.made.dropped = functools.partial(_left, self.run)
        self.arguments = (None, (), {})

    def end(self, error: BaseException | None = None, result: Any = None) -> None:
        """It has returned or raised."""
        if self.run is None or not self.run.running:
            return
        if error is not None:
            end_run(self.run, outcome_of(error), error)
            return
        hear_result(self.watcher, self.run, result)
        end_run(self.run, "ended")

    @stacks.unseen_by_warnings
    async def step(self, awaitable: Any) -> Any:
        """One part of its work."""
        self.begin()
        token = runs.set_current(self.run) if self.run is not None else None
        if self.run is not None:
            self.run.notes["idle"] = False
        try:
            return await awaitable
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self.end(error)
            raise
        finally:
            if self.run is not None:
                self.run.notes["idle"] = True
            if token is not None:
                runs.unset_current(token)


def _left(run: Run) -> None:
    """Nobody holds the stream any more, as after a `break`, and it was not at its end."""
    with contextlib.suppress(HazardError):  # nothing can be raised from a finaliser; the record is written
        end_run(run, "abandoned")


_last_look = 0.0


def look_for_left(active: Iterable[Run]) -> None:
    """Find out which streams that nobody reads at this moment are held by nobody either.

    A stream is part of a cycle with what it calls at its end, so that it is only gone after a collection. That is
    made at most once in a second, and only when a run began or a request ended beside such a stream.
    """
    global _last_look
    idle = [run for run in active if run.running and run.notes.get("stream") and run.notes.get("idle")]
    now = time.monotonic()
    if idle and now - _last_look > 1.0:
        _last_look = now
        gc.collect()


def request_ended(request: Request) -> None:
    """Listens to the end of requests."""
    look_for_left(
        [call.run for call in tuple(_streams.values()) if call.run is not None and call.run.request is request]
    )


def _is_named(thing: Any) -> bool:
    return isinstance(getattr(thing, "name", None), str)


_streams: weakref.WeakKeyDictionary[Any, Call] = weakref.WeakKeyDictionary()


def _followed(made: Any, call: Call) -> Any:
    """What the entry point returned, in its own kind."""
    if inspect.iscoroutine(made):
        outer = _awaited(made, call)
        outer.__qualname__ = made.__qualname__
        call.made.is_in(outer)
        # When nobody awaits it, Python warns once, of the outer one.
        weakref.finalize(outer, _close, made).atexit = False
        return outer
    if inspect.isasyncgen(made):
        call.made.stream = True
        items = _iterated(made, call)
        call.made.is_in(items)
        return items
    if hasattr(made, "__anext__") and hasattr(type(made), "get_final_response"):
        call.made.stream = True
        call.made.is_in(made)
        _streams[made] = call
    return made


def _close(coroutine: Any) -> None:
    if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
        coroutine.close()


@stacks.unseen_by_warnings
async def _awaited(made: Any, call: Call) -> Any:
    result = await call.step(made)
    call.end(result=result)
    return result


unawaited.WATCHED.add(_awaited.__code__)


@stacks.unseen_by_warnings
async def _iterated(made: Any, call: Call) -> AsyncIterator[Any]:
    item: Any = None
    try:
        while True:
            try:
                item = await call.step(made.__anext__())
            except StopAsyncIteration:
                break
            yield item
    except GeneratorExit as error:
        if call.run is not None:
            end_run(call.run, "abandoned", error)
        raise
    finally:
        await made.aclose()
    call.end(result=item)


def watch_streams(module: ModuleType) -> None:
    """Follow the stream objects: they are handed on as they are, so their class is watched."""
    kind = getattr(module, "ResponseStream", None)
    if kind is None:  # the first releases return async generators
        return
    replace(kind, "__anext__", _next)
    replace(kind, "get_final_response", _final)
    replace(kind, "__await__", _begins)


def _next(original: Any) -> Any:
    @functools.wraps(original)
    async def __anext__(self: Any) -> Any:
        call = _streams.get(self)
        if call is None:
            return await original(self)
        try:
            return await call.step(original(self))
        except StopAsyncIteration:
            call.end(result=getattr(self, "_final_result", None))
            raise

    return __anext__


def _final(original: Any) -> Any:
    @functools.wraps(original)
    async def get_final_response(self: Any) -> Any:
        call = _streams.get(self)
        if call is None:
            return await original(self)
        result = await call.step(original(self))
        call.end(result=result)
        return result

    return get_final_response


def _begins(original: Any) -> Any:
    @functools.wraps(original)
    def __await__(self: Any) -> Any:
        call = _streams.get(self)
        if call is not None:
            call.begin()
        return original(self)

    return __await__
