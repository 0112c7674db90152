"""Python's audit events for the guard's parts: one hook for all, since a hook can't be taken out again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from turnlane.guard import journals
from turnlane.guard.journal import HazardError

Listener = Callable[[tuple[Any, ...]], None]

_listeners: dict[str, Listener] = {}
_hooked = False


def listen(event: str, listener: Listener) -> None:
    """Call `listener` with the arguments of each event of this name, in the thread where it happens."""
    global _hooked
    _listeners[event] = listener
    if not _hooked:
        _hooked = True
        sys.addaudithook(_heard)


def forget(event: str) -> None:
    """Listen no longer. For tests."""
    _listeners.pop(event, None)


def _heard(
    event: str,
    arguments: tuple[Any, ...],
    # Not by their names in this module: at the interpreter's end it is called when those are gone.
    listeners: dict[str, Listener] = _listeners,
    finalizing: Callable[[], bool] = sys.is_finalizing,
) -> None:
    listener = listeners.get(event)
    if listener is None or finalizing():
        return
    try:
        listener(arguments)
    except HazardError:
        raise
    except Exception as error:
        journals.trouble(f"audit event {event}", error)
