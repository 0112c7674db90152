"""Methods that reset, load or save an object's state: awaited or forgotten, and what earlier runs left is gone."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from turnlane.guard import journals, kept_states, meetings, patching, runs, stacks, unawaited
from turnlane.guard.journal import HazardError
from turnlane.guard.patching import as_coroutine_function, label_of, replace
from turnlane.guard.runs import Run
from turnlane.guard.unawaited import Made


def watch_state(owner: type, name: str, after: Callable[[Any], None] | None = None) -> bool:
    """Watch `owner.name`, a coroutine method; `after` is called with the object when it has been done."""
    if not inspect.iscoroutinefunction(vars(owner).get(name)):
        return False

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
            if patching.stand_in is not None:
                self = patching.stand_in(self)
            # On the way of a run, or of another such method, it is the framework's own call.
            if runs.current.get() is not None or not stacks.is_users(sys._getframe(1).f_code.co_filename):
                return _done(original, self, args, kwargs, after, None)
            begun = Made(f"{label_of(self)}.{name}", stacks.capture_near(), stream=False)
            made = _done(original, self, args, kwargs, after, begun)
            made.__qualname__ = getattr(original, "__qualname__", name)
            begun.is_in(made)
            return made

        return as_coroutine_function(entry)

    return replace(owner, name, make)


@stacks.unseen_by_warnings
async def _done(
    original: Any,
    self: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    after: Callable[[Any], None] | None,
    begun: Made | None,
) -> Any:
    if begun is not None:
        begun.begins()
    if begun is not None and original.__name__ == "load_state":
        _safely(kept_states.loaded, *args[:1], *kwargs.values(), begun.stack)
    # A reset is no run, and a run must not meet it.
    replacing = _begin(self, original.__name__, begun) if begun is not None and after is not None else None
    try:
        result = await original(self, *args, **kwargs)
    finally:
        if replacing is not None:
            meetings.replaced(replacing)
    if begun is not None and original.__name__ == "save_state":
        _safely(kept_states.saved, result, begun.stack)
    if after is not None:
        try:
            after(self)
        except Exception as error:
            journals.trouble(f"state of {type(self).__name__}", error)
    return result


def _safely(hear: Callable[..., None], *what: Any) -> None:
    try:
        hear(*what)
    except Exception as error:
        journals.trouble("kept state", error)


def _begin(thing: Any, name: str, begun: Made) -> Run | None:
    try:
        return meetings.replacing(thing, name, begun.stack)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"state of {type(thing).__name__}", error)
        return None


unawaited.WATCHED.add(_done.__code__)
