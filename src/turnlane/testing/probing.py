"""`turnlane_probe`: a probe inside a test, of a name or of the function or app itself."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from turnlane.cli.probe import attribution_with_check
from turnlane.probe.options import ProbeOptions, run
from turnlane.probe.report import Report
from turnlane.probe.text import headline, text

_LISTENS_EVERY: Final = 0.1
"""Seconds."""


class ProbeReport(Report):
    """A report that says in one line what it is, for the message of an assertion that fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Report of {self.target}: {headline(self)}>"


def probed(target: Any = None, *, attribute: bool = True, **options: Any) -> Report:
    """Probe in a thread of its own, so that it works in async tests too.

    Args:
        target: `my_app:handler`, or the function or ASGI app itself; None with `url` or `openai`.
        attribute: find the causes by experiments after the ramp.
        options: those of `turnlane.probe.options.ProbeOptions`.

    Raises:
        ProbeError: the target cannot be probed; the text says why and what to do.
        ValueError: the target has no name by which another process could find it.
    """
    asked = ProbeOptions(target=name_of(target), **options)
    found = in_a_loop_of_its_own(lambda: run(asked, attributor=attribution_with_check if attribute else None))
    # pytest shows it when the test fails.
    sys.stdout.write(text(found))
    return ProbeReport(**{name: getattr(found, name) for name in found.__dataclass_fields__})


def in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, Report]]) -> Report:
    """What interrupts the wait, such as Ctrl-C, ends the work too: it has started programs."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()
    report: Future[Report] = Future()

    async def whole() -> Report:
        task = asyncio.current_task()
        assert task is not None
        ready.set_result((asyncio.get_running_loop(), task))
        return await work()

    def in_thread() -> None:
        try:
            report.set_result(asyncio.run(whole()))
        except BaseException as error:
            report.set_exception(error)

    thread = threading.Thread(target=in_thread, name="turnlane probe")
    try:
        thread.start()
        # Not for ever at once: a signal that comes right before the wait begins is heard only after it.
        while not wait([report], timeout=_LISTENS_EVERY).done:
            pass
        return report.result()
    except BaseException:
        if thread.is_alive() and not report.done():
            loop, task = ready.result()
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        if thread.ident is not None:
            thread.join()


def name_of(target: Any) -> str | None:
    """The name by which a child process finds `target`: `/path/app.py:handler`.

    Raises:
        ValueError: it has none.
    """
    if target is None or isinstance(target, str):
        return target
    for module in tuple(sys.modules.values()):
        if (file := getattr(module, "__file__", None)) is None or not _may_hold(module, target):
            continue
        for name, value in tuple(vars(module).items()):
            if value is target:
                return f"{Path(file).resolve()}:{name}"
    raise ValueError(
        f"turnlane_probe cannot find {target!r} by a name: it runs in a process of its own, so define it at the "
        "top level of a module, or give its name as 'my_app:handler'"
    )


def _may_hold(module: ModuleType, target: Any) -> bool:
    """Of a function the module that defines it; an app may be in any."""
    return not inspect.isfunction(target) or target.__module__ == module.__name__
