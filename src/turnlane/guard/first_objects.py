"""Classes are looked through for entry points when their first object is made: agents are made for each turn."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


def first_of_each_class(watch: Callable[[type], None]) -> Callable[[Any], None]:
    """For `watch_construction(after=...)`: calls `watch` with the class of the first object of each class."""
    seen: weakref.WeakSet[type] = weakref.WeakSet()

    def made(thing: Any) -> None:
        kind = type(thing)
        if kind not in seen:
            seen.add(kind)
            watch(kind)

    return made
