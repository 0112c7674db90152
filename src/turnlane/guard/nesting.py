"""Loops that may run inside each other, by `nest_asyncio` (TL105)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from turnlane.guard import journals, stacks
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace

_PACKAGES: Final = ("nest_asyncio", "nest_asyncio2")

MACHINERY: Final[list[str]] = []
"""Files of these packages: what they call is the doing of who called them."""

by_program = False
"""Whether the program itself has asked for it, and was told: then its nested loops are no further news."""


def install(watch: Callable[[type], None]) -> None:
    """Wait for the packages.

    Args:
        watch: watches `asyncio.run` and a class of loops anew: the packages put their own functions there.
    """
    for name in _PACKAGES:
        when_imported(name, functools.partial(_patch, watch))


def uninstall() -> None:
    """Forget who has asked. For tests."""
    global by_program
    by_program = False


def is_allowed(loop: Any) -> bool:
    """Whether `loop` may be run from inside itself; it runs without `run_forever` then."""
    return bool(getattr(loop, "_nest_patched", False))


def _patch(watch: Callable[[type], None], module: ModuleType) -> None:
    MACHINERY.append(str(module.__file__))

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def apply(loop: Any = None, *args: Any, **kwargs: Any) -> Any:
            _report(module.__name__)
            applied = original(loop, *args, **kwargs)
            watch(type(loop or asyncio.get_event_loop_policy().get_event_loop()))
            return applied

        return apply

    replace(module, "apply", make)


def _report(name: str) -> None:
    global by_program
    stack = stacks.capture(2)
    if not (stack and stacks.is_users(stack[0][0].co_filename)):
        return  # a package that the program uses
    by_program = True
    journals.report(
        Sighting(
            code="TL105",
            message=f"{name}.apply() lets calls run the loop from inside the loop: a run can then return only "
            "after the runs that began after it, and uvloop refuses it.",
            stack=stack,
            stacks=[(f"{name}.apply() is called here", stack)],
        )
    )
