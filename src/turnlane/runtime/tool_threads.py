"""The threads that sync tools run in."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ToolThreads(ThreadPoolExecutor):
    """A thread pool whose work runs in the context of the code that submitted it.

    `loop.run_in_executor` leaves the context behind, unlike `asyncio.to_thread`: a sync tool would not know its
    run, and an agent that it runs in a loop of its own would be nobody's (hazard TL402).
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        context = contextvars.copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))
