"""Calls of functions that Python has in C (`open`, `os.rename`, `input`), for the parts of the guard that listen.

Python would tell of them by audit events. But a hook for these is called for every `id()` and every look at a
frame's code as well, also in libraries, which costs many times what the guard itself does.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from turnlane.guard import journals
from turnlane.guard.journal import HazardError
from turnlane.guard.patching import replace

Listener = Callable[..., None]
"""Called with the arguments of each call, in its thread, before it is done: also with those that are refused."""


def listen(name: str, listener: Listener, *modules: ModuleType) -> None:
    """Tell `listener` of each call of the function that all `modules` have by this name, whoever calls it."""
    heard = Heard(getattr(modules[0], name), listener)
    for module in modules:
        replace(module, name, lambda _: heard)


class Heard:
    """Such a function, listened to. No function itself: in a class of the program's that would be a method."""

    def __init__(self, original: Any, listener: Listener) -> None:
        functools.update_wrapper(self, original)
        self._original = original
        self._listener = listener
        self._finalizing = sys.is_finalizing  # by then this module's names may be gone

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if not self._finalizing():
            self._hear(args, kwargs)
        return self._original(*args, **kwargs)

    def _hear(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self._listener(*args, **kwargs)
        except HazardError:
            raise
        except Exception as error:
            journals.trouble(f"call of {self._original.__name__}", error)

    # Sets such as `os.supports_dir_fd` know the original.
    def __eq__(self, other: object) -> bool:
        return other is self or other is self._original

    def __hash__(self) -> int:
        return hash(self._original)

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        """What takes it to another process finds the original there."""
        return copy.copy, (self._original,)
