"""A stop while a tool runs: the run that does not end, and the tool that cancels itself (TL404)."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import contextlib
import functools
import time
from collections.abc import Sequence
from typing import Any

from turnlane.guard import going_on, journals, meetings, stacks, tools
from turnlane.guard.journal import Sighting
from turnlane.guard.patching import replace
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack, is_served, is_users


def install() -> None:
    """Watch stops that reach tools which run beside each other."""
    replace(asyncio.tasks._GatheringFuture, "cancel", _gathered)  # type: ignore[attr-defined]


def _gathered(original: Any) -> Any:
    """Frameworks await the tools of one answer together: their task's stop comes by here, and by nothing else."""

    @functools.wraps(original)
    def cancel(self: Any, *args: Any, **kwargs: Any) -> Any:
        cancelled = original(self, *args, **kwargs)
        calls = [call for call in tuple(tools.going) if call.run is not None and call.run.asked_to_stop]
        if cancelled and calls and id(asyncio._get_running_loop()) not in going_on.closing:
            asked(calls, stacks.capture())
        return cancelled

    return cancel


def calls_of(token: Any) -> list[ToolCall]:
    """The tool calls that go on now and that a cancellation token would stop."""
    return [
        call
        for call in tuple(tools.going)
        if call.notes.get("token", _nothing)() is token and call.run is not None
    ]


def asked(calls: Sequence[ToolCall], stack: Stack) -> None:
    """The runs of these tools were told to stop: look again when the time of grace is over."""
    grace = journals.settings().grace
    for call in calls:
        run = call.run
        if run is None or "stopped" in run.notes:
            continue
        run.notes["stopped"] = (time.monotonic(), call, stack)
        loop = run.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing goes on
                loop.call_soon_threadsafe(loop.call_later, grace, _look, run)


def ended(run: Run) -> None:
    """Listens to the end of runs: one that was ended by force, long after the stop, would not have ended."""
    since, _, _ = run.notes.get("stopped", (None, None, ()))
    if since is not None and run.outcome != "ended" and time.monotonic() - since > journals.settings().grace / 2:
        _report(run)
    run.notes.pop("stopped", None)


def tool_ended(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls: one that is cancelled by nobody makes its run wait for ever."""
    if not isinstance(error, asyncio.CancelledError) or call.run is None or is_served(call.stack):
        return
    token = call.notes.get("token", _nothing)()
    if token is None or token.is_cancelled() or _cancelling() or not call.run.running or call.run.asked_to_stop:
        return
    journals.report(
        _sighting(
            call,
            f"The tool {call.name!r} raised CancelledError, though nobody had asked it to stop: {call.run.label} "
            "waits for its result for ever.",
            tools.defined(call),
        )
    )


def _look(run: Run) -> None:
    if run.running and "stopped" in run.notes:
        _report(run)


def _report(run: Run) -> None:
    since, call, stack = run.notes.pop("stopped")
    seconds = time.monotonic() - since
    sighting = _sighting(
        call,
        f"{run.label} was told to stop while the tool {call.name!r} ran, and had not ended {seconds:.1f} s later.",
        stack,
    )
    sighting.measures["seconds"] = round(seconds, 3)
    journals.report_aside(sighting)


def _sighting(call: ToolCall, message: str, stack: Stack) -> Sighting:
    run = call.run
    assert run is not None
    # A timer's stack is the loop's: it shows no more than where the program was started.
    direct = next((code for code, _ in stack), None)
    place = stack if direct is not None and is_users(direct.co_filename) else run.place_stack
    return Sighting(
        code="TL404",
        message=message,
        stack=place,
        stacks=meetings.with_stacks(
            ("stopped here", stack), ("the tool", tools.defined(call)), ("the run", run.place_stack)
        ),
        object=f"tool {call.name!r} of {run.label}",
        request=run.request.id if run.request else None,
        conversation=run.request.conversation if run.request else None,
        task=run.task_name,
    )


def _cancelling() -> bool:
    with contextlib.suppress(RuntimeError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return False


def _nothing() -> None:
    return None
