"""How entry points are watched: a wrapper that behaves as what it wraps, and tells when a call begins and ends.

A wrapper is put in once per class, and taken out by `undo_all` (tests). Errors of the guard's own code never reach
the program; `HazardError`, which strict mode raises on purpose, does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable
from types import FunctionType
from typing import Any, Final, Protocol

from turnlane.guard import journals, runs, stacks, unawaited
from turnlane.guard.journal import HazardError
from turnlane.guard.runs import Outcome, Run
from turnlane.guard.stacks import Stack
from turnlane.guard.unawaited import Made

MARK = "__turnlane_guard__"

_undo: list[tuple[Any, str, Any]] = []

stand_in: Callable[[Any], Any] | None = None
"""Set for an experiment of `turnlane probe`: gives the object that is called in the place of another."""


class Watcher(Protocol):
    """Says what a call of an entry point is. One per kind of entry point, in the framework's file."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        """The call begins to run (not: is made); `stack` is that of the line that made it."""

    def item(self, run: Run, item: Any) -> None:
        """A stream has yielded `item`."""

    def result(self, run: Run, result: Any) -> None:
        """The call ended well; a stream's result is its last item."""


class Plain:
    """A watcher with nothing to say about items and results, to derive from."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        return None

    def item(self, run: Run, item: Any) -> None:
        return None

    def result(self, run: Run, result: Any) -> None:
        return None


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
    """Put `make(original)` in the place of `owner.name`, once. False when it is absent or replaced already.

    Looks in the owner itself, not in its bases: a class that inherits an entry point is watched through its base.
    """
    original = vars(owner).get(name) if isinstance(owner, type) else getattr(owner, name, None)
    if original is None or getattr(original, MARK, False):
        return False
    function = original.__func__ if isinstance(original, staticmethod | classmethod) else original
    made = make(function)
    if stacks.is_ours(getattr(made, "__code__", _NO_CODE)):
        stacks.unseen_by_warnings(made)
    with contextlib.suppress(AttributeError, TypeError):
        setattr(made, MARK, True)
    if isinstance(original, staticmethod | classmethod):
        made = type(original)(made)
    setattr(owner, name, made)
    _undo.append((owner, name, original))
    return True


def undo_all() -> None:
    """Take every wrapper out again. For tests: a program keeps its guard until it ends."""
    while _undo:
        owner, name, original = _undo.pop()
        if original is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


_ABSENT: Any = object()
_NO_CODE: Final = compile("", "", "exec")


def add(owner: Any, name: str, value: Any) -> None:
    """Give `owner` an attribute that it has not."""
    _undo.append((owner, name, _ABSENT))
    setattr(owner, name, value)


def watch_entry(owner: type, name: str, watcher: Watcher) -> bool:
    """Watch one entry point: a coroutine method, a method that returns an async iterator, or a plain method.

    Which of them it is, is taken from the function; for one that hides it (a plain function that returns a
    coroutine) use `watch_coroutine` or `watch_stream`.
    """
    function = vars(owner).get(name)
    if inspect.isasyncgenfunction(function):
        return watch_stream(owner, name, watcher)
    if inspect.iscoroutinefunction(function):
        return watch_coroutine(owner, name, watcher)
    return watch_call(owner, name, watcher)


def watch_coroutine(owner: Any, name: str, watcher: Watcher, *, of_users: bool = False) -> bool:
    """Watch an entry point that is awaited.

    Args:
        of_users: only where the user's own code calls it: what a library makes, it awaits.
    """

    def drive(original: Any, self: Any, args: Any, kwargs: Any, begun: Made) -> Any:
        made: Any = _awaited(watcher, original, self, args, kwargs, begun)
        made.__qualname__ = getattr(original, "__qualname__", name)
        return made

    def make(original: Any) -> Any:
        entry = _begun_later(original, name, drive, stream=False, of_users=of_users)
        return as_coroutine_function(entry) if inspect.iscoroutinefunction(original) else entry

    return replace(owner, name, make)


def watch_stream(owner: Any, name: str, watcher: Watcher) -> bool:
    """Watch an entry point that is iterated with `async for`."""

    def make(original: Any) -> Any:
        entry = _begun_later(original, name, functools.partial(_iterated, watcher), stream=True)
        # Not where nobody has tried what a flag does.
        return _flagged(entry, inspect.CO_ASYNC_GENERATOR) if sys.version_info < (3, 14) else entry

    return replace(owner, name, make)


def _begun_later(
    original: Any, name: str, drive: Callable[..., Any], *, stream: bool, of_users: bool = False
) -> Any:
    """An entry point that only makes something, which `drive` runs once it is awaited or iterated."""

    @functools.wraps(original)
    def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
        if stand_in is not None:
            self, args, kwargs = _with_stand_ins(self, args, kwargs)
        if runs.within(self) or (of_users and not stacks.is_users(sys._getframe(1).f_code.co_filename)):
            return original(self, *args, **kwargs)
        begun = Made(f"{label_of(self)}.{name}", stacks.capture_near(), stream=stream)
        made = drive(original, self, args, kwargs, begun)
        begun.is_in(made)
        return made

    return entry


def watch_call(owner: Any, name: str, watcher: Watcher) -> bool:
    """Watch an entry point that blocks until it is done."""

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
            if stand_in is not None:
                self, args, kwargs = _with_stand_ins(self, args, kwargs)
            run = begin_run(watcher, self, args, kwargs, stacks.capture_near())
            if run is None:
                return original(self, *args, **kwargs)
            token = runs.set_current(run)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                end_run(run, outcome_of(error), error)
                raise
            finally:
                runs.unset_current(token)
            hear_result(watcher, run, result)
            end_run(run, "ended")
            return result

        return entry

    return replace(owner, name, make)


def _with_stand_ins(
    self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The call with every object in it replaced that has a stand-in."""
    assert stand_in is not None
    return stand_in(self), tuple(map(stand_in, args)), {name: stand_in(value) for name, value in kwargs.items()}


@stacks.unseen_by_warnings
def watch_construction(owner: type, role: Any, after: Callable[[Any], None] | None = None) -> None:
    """Note where objects of `owner` and of its subclasses are made: the outermost constructor's caller.

    Args:
        after: called with each new, still empty object.
    """
    from turnlane.guard import objects

    own = vars(owner).get("__new__")
    inherited: Any = owner.__new__
    if getattr(inherited, MARK, False) and own is not None:
        return

    # Who asks for the signature of a class without a constructor of its own hears of that of its base, as before.
    @functools.wraps(vars(owner).get("__init__", object.__init__))
    def __new__(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        # The next of the object's own class: one that it also derives from may make its objects in its own way.
        make = inherited if own is not None else super(owner, cls).__new__  # type: ignore[arg-type]
        made = make(cls) if make is object.__new__ else make(cls, *args, **kwargs)
        try:
            objects.made(made, role, args, kwargs, skip=1)
            if after is not None:
                after(made)
        except Exception as error:
            journals.trouble("construction", error)
        return made

    setattr(__new__, MARK, True)
    # A class that once had a `__new__` of its own and lost it refuses its arguments: it keeps one that does
    # nothing.
    _undo.append((owner, "__new__", _new_without_arguments if own is None else own))
    owner.__new__ = __new__  # type: ignore[method-assign]


def _new_without_arguments(cls: type, /, *_: Any, **__: Any) -> Any:
    return object.__new__(cls)


@stacks.unseen_by_warnings
async def _awaited(
    watcher: Watcher, original: Any, self: Any, args: tuple[Any, ...], kwargs: dict[str, Any], begun: Made
) -> Any:
    begun.begins()
    run = begin_run(watcher, self, args, kwargs, begun.stack)
    if run is None:
        return await original(self, *args, **kwargs)
    token = runs.set_current(run)
    try:
        result = await original(self, *args, **kwargs)
    except BaseException as error:
        end_run(run, outcome_of(error), error)
        raise
    finally:
        runs.unset_current(token)
    hear_result(watcher, run, result)
    end_run(run, "ended")
    return result


@stacks.unseen_by_warnings
async def _iterated(
    watcher: Watcher, original: Any, self: Any, args: tuple[Any, ...], kwargs: dict[str, Any], begun: Made
) -> AsyncGenerator[Any, Any]:
    begun.begins()
    run = begin_run(watcher, self, args, kwargs, begun.stack)
    if run is not None:
        run.notes["stream"] = True
        begun.dropped = functools.partial(_dropped, run)
    inner = original(self, *args, **kwargs)
    iterator = inner.__aiter__()
    item: Any = None
    try:
        while True:
            # A generator's body runs in its consumer's context: what that does between two items is not the run's.
            token = runs.set_current(run) if run is not None else None
            try:
                item = await iterator.__anext__()
            except StopAsyncIteration:
                break
            finally:
                if token is not None:
                    runs.unset_current(token)
            if run is not None:
                _item(watcher, run, item)
            yield item
    except GeneratorExit:
        if run is not None:
            end_run(run, "abandoned")
        raise
    except BaseException as error:
        if run is not None:
            end_run(run, outcome_of(error), error)
        raise
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
    if run is not None:
        hear_result(watcher, run, item)
        end_run(run, "ended")


unawaited.WATCHED.add(_awaited.__code__)


def _dropped(run: Run) -> None:
    """Nobody holds the stream any more, as after a `break`: it is closed later, when the loop comes to it."""
    if not run.running:
        return
    try:
        run.notes["dropped"] = stacks.capture()
        runs.end(run, "abandoned")
    except HazardError:  # nothing can be raised from a finaliser; the record is written
        pass
    except Exception as error:
        journals.trouble("stream", error)


def outcome_of(error: BaseException) -> Outcome:
    """How a run ended that raised this."""
    return "cancelled" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "failed"


def begin_run(
    watcher: Watcher, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack
) -> Run | None:
    """Ask a watcher what a call of an entry point is; its own errors are told and swallowed."""
    try:
        return watcher.begin(thing, args, kwargs, stack)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"{type(watcher).__name__}.begin", error)
        return None


def _item(watcher: Watcher, run: Run, item: Any) -> None:
    try:
        watcher.item(run, item)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"{type(watcher).__name__}.item", error)


def hear_result(watcher: Watcher, run: Run, result: Any) -> None:
    """Hand a watcher what its run returned."""
    try:
        watcher.result(run, result)
    except HazardError:
        end_run(run, "ended")
        raise
    except Exception as error:
        journals.trouble(f"{type(watcher).__name__}.result", error)


def end_run(run: Run, outcome: Outcome, error: BaseException | None = None) -> None:
    """End a run; errors of those who listen to its end are told and swallowed."""
    try:
        runs.end(run, outcome, error)
    except HazardError:
        raise
    except Exception as trouble:
        journals.trouble("run.end", trouble)


def label_of(thing: Any) -> str:
    """The object for people: `AssistantAgent 'support'`."""
    kind = type(thing).__name__
    try:
        own = getattr(thing, "name", None)
    except Exception:  # a property of the user's own class
        return kind
    return f"{kind} {own!r}" if isinstance(own, str) else kind


def as_coroutine_function(function: Any) -> Any:
    """What asks whether the entry point is async must hear yes, as before."""
    mark = getattr(inspect, "markcoroutinefunction", None)  # Python 3.12
    if mark is not None:
        return mark(function)
    made = _flagged(function, inspect.CO_COROUTINE)
    made._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return made


def _flagged(function: Any, flag: int) -> Any:
    """`inspect` reads what kind a function is from its code's flags. Since Python 3.11 nothing else does: it is
    the first instruction that makes a coroutine or a generator."""
    code = function.__code__.replace(co_flags=function.__code__.co_flags | flag)
    # A new function: Python 3.13 warns when one gets code of another kind.
    made = FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
    return functools.update_wrapper(made, function.__wrapped__)
