"""Chats of classic AutoGen that go on in a thread or task of the framework, and the readers of their events.

`run`, `a_run` and their like begin a chat elsewhere and return a response, which gives its events. A reader who
leaves does not stop the chat.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from turnlane.guard.patching import replace
from turnlane.guard.runs import Outcome, Run

_chats: WeakKeyDictionary[Any, WeakSet[Run]] = WeakKeyDictionary()
"""By the stream that carries their events."""
_readers: WeakKeyDictionary[Any, object] = WeakKeyDictionary()
"""By the response, who reads its events now, or has last."""


def begun(run: Run) -> None:
    """A chat begins, and writes its events to the stream of its context."""
    base = sys.modules.get("autogen.io.base")
    if base is not None and run.parent is None:
        _chats.setdefault(base.IOStream.get_default(), WeakSet()).add(run)


def watch_readers(module: ModuleType) -> None:
    """Watch how the events of a response are read."""
    for name, method, made in (
        ("RunResponse", "_queue_generator", _read),
        ("AsyncRunResponse", "_queue_generator", _read_async),
        ("RunIterResponse", "_generator", _read),
        ("AsyncRunIterResponse", "_generator", _read_async),
    ):
        if hasattr(module, name):
            replace(getattr(module, name), method, made)


def _read(original: Any) -> Any:
    @functools.wraps(original)
    def events(self: Any, *args: Any) -> Iterator[Any]:
        reader = _reads(self)
        try:
            yield from original(self, *args)
        except GeneratorExit:
            _leaves(self, reader, "abandoned")
            raise

    return events


def _read_async(original: Any) -> Any:
    @functools.wraps(original)
    async def events(self: Any, *args: Any) -> AsyncIterator[Any]:
        reader = _reads(self)
        items = original(self, *args)
        try:
            async for item in items:
                yield item
        except GeneratorExit:
            _leaves(self, reader, "abandoned")
            raise
        except asyncio.CancelledError:
            _leaves(self, reader, "cancelled")
            raise
        finally:
            await items.aclose()

    return events


def _reads(response: Any) -> object:
    """Somebody reads the events of a response, perhaps in the place of one who has left."""
    _readers[response] = reader = object()
    _note(response, None)
    return reader


def _leaves(response: Any, reader: object, how: Outcome) -> None:
    if _readers.get(response) is reader:  # what has read is often closed after the next has begun
        _note(response, how)


def _note(response: Any, left: Outcome | None) -> None:
    for run in tuple(_chats.get(response.iostream, ())):
        run.notes["left"] = left
