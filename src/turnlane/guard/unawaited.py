"""Coroutines and streams of agents that nobody awaits or iterates (TL106), with the line that made them."""

from __future__ import annotations

import sys
import warnings
import weakref
from typing import Any

from turnlane.guard import journals, requests
from turnlane.guard.journal import Sighting
from turnlane.guard.stacks import Stack


class Made:
    """One coroutine or stream that was made, until it begins."""

    __slots__ = ("begun", "identity", "label", "ref", "request", "stack", "stream")

    def __init__(self, label: str, stack: Stack, *, stream: bool) -> None:
        self.label = label
        self.stack = stack
        self.stream = stream
        self.request = requests.current.get()
        self.begun = False
        self.identity = 0
        self.ref: weakref.ref[Any] | None = None

    def is_in(self, thing: Any) -> None:
        """It is `thing` that must begin."""
        self.identity = id(thing)
        _waiting[self.identity] = self
        if self.stream:  # Python warns of coroutines only
            self.ref = weakref.ref(thing, self._gone)

    def begins(self) -> None:
        """It was awaited or iterated."""
        self.begun = True
        if _waiting.get(self.identity) is self:
            del _waiting[self.identity]

    def _gone(self, _: object) -> None:
        if not self.begun and _waiting.pop(self.identity, None) is self:
            report(self)


_waiting: dict[int, Made] = {}


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


def install() -> None:
    """Listen where CPython tells of coroutines that are collected before they began."""
    from turnlane.guard.patching import replace

    def make(original: Any) -> Any:
        def _warn_unawaited_coroutine(coroutine: Any) -> None:
            made = _waiting.pop(id(coroutine), None)
            if made is not None and not sys.is_finalizing():
                report(made)
            original(coroutine)

        return _warn_unawaited_coroutine

    replace(warnings, "_warn_unawaited_coroutine", make)
