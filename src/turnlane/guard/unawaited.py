"""Coroutines and streams that nobody awaits or iterates (TL106): those of agents and clients with the line that
made them, the program's own with the line that let go of them."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import CodeType, CoroutineType, FrameType
from typing import Any, Final

from turnlane.guard import journals, requests, stacks
from turnlane.guard.journal import Sighting
from turnlane.guard.stacks import Stack
from turnlane.guard.thread_times import ThreadTimes

JUST_GONE: Final = 64


class Made:
    """One coroutine or stream that was made, until it begins; a stream until nobody holds it any more.

    Attributes:
        dropped: called when the last holder of a stream that has begun lets go of it.
    """

    __slots__ = ("begun", "dropped", "identity", "label", "ref", "request", "stack", "stream")

    def __init__(self, label: str, stack: Stack, *, stream: bool) -> None:
        self.label = label
        self.stack = stack
        self.stream = stream
        self.request = requests.current.get()
        self.begun = False
        self.identity = 0
        self.ref: weakref.ref[Any] | None = None
        self.dropped: Callable[[], None] | None = None

    def is_in(self, thing: Any) -> None:
        """It is `thing` that must begin."""
        self.identity = id(thing)
        _waiting[self.identity] = self
        self.ref = weakref.ref(thing, self._gone)

    def begins(self) -> None:
        """It was awaited or iterated."""
        self.begun = True
        if _waiting.get(self.identity) is self:
            del _waiting[self.identity]
        if not self.stream:
            self.ref = None

    def _gone(self, _: object) -> None:
        if self.begun:
            if self.dropped is not None:
                self.dropped()
        elif _waiting.get(self.identity) is self:
            del _waiting[self.identity]
            if self.stream:  # Python warns of coroutines only, right after this: one that was closed is no mistake
                report(self)
            else:
                _just_gone[self.identity] = self
                if len(_just_gone) > JUST_GONE:
                    _just_gone.popitem(last=False)


_just_gone: OrderedDict[int, Made] = OrderedDict()
_waiting: dict[int, Made] = {}


WATCHED: set[Any] = set()
"""The code of the coroutines that are made in place of the program's: an identity may be used a second time."""


def waiting(thing: object) -> Made | None:
    """What is known of a coroutine or stream that has not begun."""
    return _waiting.get(id(thing))


_excused: OrderedDict[int, weakref.ref[Any]] = OrderedDict()


def excuse(thing: object) -> None:
    """Another hazard says already why `thing` will never begin."""
    made = _waiting.pop(id(thing), None)
    if made is not None:
        made.begun = True
    if isinstance(thing, CoroutineType):
        _excused[id(thing)] = weakref.ref(thing)
        if len(_excused) > JUST_GONE:
            _excused.popitem(last=False)


def excuse_held(frame: FrameType | None) -> None:
    """The same for what the program's own calls hold, from `frame` on: an error will end them."""
    while frame is not None and stacks.is_users(frame.f_code.co_filename):
        for value in tuple(frame.f_locals.values()):
            excuse(value)
        frame = frame.f_back


def report(made: Made) -> None:
    """Nobody will ever begin it."""
    what, verb = ("stream", "iterated") if made.stream else ("coroutine", "awaited")
    journals.report_aside(
        Sighting(
            code="TL106",
            message=f"The {what} {made.label} was made and never {verb}: nothing of it has run.",
            stack=made.stack,
            stacks=[("made here", made.stack)],
            object=made.label,
            request=made.request.id if made.request else None,
            conversation=made.request.conversation if made.request else None,
        )
    )


def at_exit() -> None:
    """The process ends: what has not begun never will, also where an exception's traceback still holds it."""
    for made in tuple(_waiting.values()):
        thing = made.ref() if made.ref is not None else None
        if thing is not None and not made.begun:
            report(made)
    for coroutine in _kept_by_main():
        _dropped(coroutine, stacks.NO_STACK)
    _waiting.clear()


def _kept_by_main() -> list[Any]:
    """Coroutines that have not begun, held by a script or a notebook in a name, or as what a cell has shown."""
    names = vars(sys.modules["__main__"])
    shown = names.get("Out")
    held = [*names.values(), *(shown.values() if isinstance(shown, dict) else ())]
    return list(
        {
            id(thing): thing
            for thing in held
            if isinstance(thing, CoroutineType) and inspect.getcoroutinestate(thing) == inspect.CORO_CREATED
        }.values()
    )


def install() -> None:
    """Listen where CPython tells of coroutines that are collected before they began."""
    from turnlane.guard.patching import replace

    def make(original: Any) -> Any:
        def _warn_unawaited_coroutine(coroutine: Any) -> None:
            if not sys.is_finalizing():
                _dropped(coroutine, stacks.capture())
            original(coroutine)

        return functools.wraps(original)(_warn_unawaited_coroutine)

    replace(warnings, "_warn_unawaited_coroutine", make)
    for kind in (stacks.Frame, stacks.Place, ThreadTimes):
        _may_warn_inside(kind)


def _dropped(coroutine: Any, here: Stack) -> None:
    made, excused = _just_gone.pop(id(coroutine), None), _excused.pop(id(coroutine), None)
    code = coroutine.cr_code
    if made is not None and code in WATCHED:
        report(made)
    elif stacks.is_users(code.co_filename) and (excused is None or excused() not in (None, coroutine)):
        journals.report_aside(_of_program(coroutine.__qualname__, code, here))


def _of_program(name: str, code: CodeType, here: Stack) -> Sighting:
    """A coroutine function of the program's own: who called it is not known any more, often it is who let go."""
    defined = ((code, code.co_firstlineno),)
    request = requests.current.get()
    return Sighting(
        code="TL106",
        message=f"A coroutine of {name} was made and never awaited: nothing of it has run.",
        stack=here if here and stacks.is_users(here[0][0].co_filename) else defined,
        stacks=[("what it would have run", defined), *([("let go of here", here)] if here else [])],
        object=name,
        request=request.id if request else None,
        conversation=request.conversation if request else None,
    )


def _may_warn_inside(kind: type) -> None:
    """Python imports `warnings` where the collector runs, and a named tuple is made where nothing can be imported:
    the guard makes so many that warnings of the program would be lost, with an error on its terminal instead."""
    kind.__new__.__globals__["__builtins__"] = builtins
