"""TL403 in a file: a tool call that writes one from what it read before another call wrote it.

A lock around both makes this impossible, so locks need not be known.
"""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from typing import Final, NamedTuple

from turnlane.guard import journals, locks, meetings, runs, tools
from turnlane.guard.journal import Sighting
from turnlane.guard.runs import ToolCall
from turnlane.guard.stacks import Stack

MAX_PATHS: Final = 256


class Access(NamedTuple):
    """A tool call has read or written a path."""

    number: int
    call: ToolCall
    stack: Stack


_numbers = itertools.count(1)
_written: OrderedDict[str, Access] = OrderedDict()
"""Who wrote a path last."""
_lock = locks.free_after_fork()


def uninstall() -> None:
    """Forget all paths."""
    _written.clear()


def present() -> ToolCall | None:
    """The tool call of a run that the present code is part of."""
    call = runs.current_tool.get()
    return call if call is not None and not call.ended and call.run is not None else None


def read(call: ToolCall, path: str, stack: Stack) -> None:
    """A tool reads a path."""
    call.notes.setdefault("files", {})[path] = Access(next(_numbers), call, stack)


def wrote(call: ToolCall, path: str, stack: Stack) -> bool:
    """A tool is about to write a path: whether it loses what another call has written, which is told.

    Raises:
        HazardError: it does, and the settings are strict.
    """
    before: Access | None = call.notes.get("files", {}).pop(path, None)
    with _lock:
        last = _written.pop(path, None)
        _written[path] = Access(next(_numbers), call, stack)
        while len(_written) > MAX_PATHS:
            _written.popitem(last=False)
    if before is None or last is None or last.call is call or last.number < before.number:
        return False
    journals.report(_sighting(path, before, last, stack))
    return True


def _sighting(path: str, before: Access, last: Access, stack: Stack) -> Sighting:
    call, other = before.call, last.call
    run = call.run
    assert run is not None
    return Sighting(
        code="TL403",
        message=f"{tools.both(other, call)} changed {os.path.basename(path)} at the same time: one read it, and "
        "wrote over what the other had written meanwhile. An update is lost.",
        stack=stack,
        stacks=meetings.with_stacks(
            ("the other wrote it here", last.stack),
            ("this one had read it here", before.stack),
            ("and writes it here", stack),
            ("the tool", tools.defined(call)),
        ),
        object=f"file {path}",
        request=run.request.id if run.request else None,
        conversation=run.request.conversation if run.request else None,
        requests=tools.requests_of(other, call),
        task=run.task_name,
    )
