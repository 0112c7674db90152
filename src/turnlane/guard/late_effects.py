"""What a plain tool still does when the run that called it was stopped: its thread cannot be (TL404)."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from contextvars import Context
from types import CodeType
from typing import Any

from turnlane.guard import executors, journals, meetings, runs, stacks, tools
from turnlane.guard.executors import Carried
from turnlane.guard.journal import Sighting
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.tool_state import Identity, Plan, changed, entries, plan_of


class Left:
    """A tool call whose thread goes on alone.

    Attributes:
        call: it.
        code: that of the function that the thread is in.
        plan: what this does with the state outside it; None when that is nothing.
        before: what that state was when the thread was left alone.
        positions: where it and the helpers that it waited for were then; empty when nobody knows.
    """

    __slots__ = ("before", "call", "code", "plan", "positions")

    def __init__(self, call: ToolCall, function: Any, positions: dict[CodeType, int]) -> None:
        self.call = call
        self.code = _code(function)
        self.plan = plan_of(function)
        self.before = _look(self.plan)
        self.positions = positions


def install() -> None:
    """Listen to tool calls, and to what happens in threads that nobody waits for."""
    tools.beginning.append(_began)
    tools.ending.append(_ended)
    runs.ending.append(_run_ended)
    executors.ending.append(_work_ended)


def _began(call: ToolCall, function: Any) -> None:
    call.notes["function"] = function
    call.notes["work"] = executors.present()


def _run_ended(run: Run) -> None:
    """Listens to the end of runs: agentchat runs its tools in a task that a cancelled run leaves alone."""
    if run.outcome != "cancelled":
        return
    for call in tuple(tools.going):
        if call.run is run:
            for work in executors.works_of(call):
                left_alone(work)


def left_alone(work: Carried) -> None:
    """Nobody waits any more for a thread, neither for the tool call that it does nor for those made in it."""
    call = next((one for one in tuple(tools.going) if one.notes.get("work") is work), None)
    if call is None and work.values is not None:
        call = next((value for value in work.values if isinstance(value, ToolCall)), None)
    if call is not None and call.notes.get("function") is not None:
        work.left = Left(call, *_running(work, call))


def _running(work: Carried, call: ToolCall) -> tuple[Any, dict[CodeType, int]]:
    """The function that a thread is in, the tool's own or one that this has handed over, and where it is there and
    in what it has called."""
    own = call.notes["function"]
    by_code = {_code(function): function for function in (_handed_over(work.function), own)}
    frame = sys._current_frames().get(work.thread)
    positions: dict[CodeType, int] = {}
    while frame is not None:
        positions.setdefault(frame.f_code, frame.f_lasti)
        if frame.f_code in by_code:
            return by_code[frame.f_code], positions
        frame = frame.f_back
    return own, {}


def _handed_over(function: Any) -> Any:
    while isinstance(function, functools.partial):
        in_context = isinstance(getattr(function.func, "__self__", None), Context)
        function = function.args[0] if in_context else function.func
    return function


def _code(function: Any) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


def _ended(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls: of those that are made in the thread."""
    work: Carried | None = call.notes.pop("work", None)
    if work is not None and work.left is not None and work.left.call is call and error is None:
        _compare(work.left)


def _work_ended(work: Carried) -> None:
    """Listens to the end of work in threads."""
    if work.left is not None and work.left.call.notes.get("work") is not work:
        _compare(work.left)


def _compare(left: Left) -> None:
    after = _look(left.plan)
    for identity, root in left.plan.roots.items() if left.plan is not None else ():
        if changed(left.before.get(identity), after.get(identity)) and _writes_later(left, identity):
            _report(left.call, f"changes {root.name}", tools.defined(left.call))
            return


def _writes_later(left: Left, identity: Identity) -> bool:
    if left.plan is None or left.code is None:
        return False
    positions = left.positions or {left.code: -1}
    return any(
        offset > position for code, position in positions.items() for offset in left.plan.writes(code, identity)
    )


def writes(file: object) -> None:
    """A file is about to be opened to be written, or replaced."""
    work = executors.present()
    if work is None or work.left is None:
        return
    stack = stacks.capture()
    if isinstance(file, str | os.PathLike) and stacks.has_users(stack):
        _report(work.left.call, f"writes {os.path.basename(os.fspath(file))}", stack)


def _look(plan: Plan | None) -> dict[Identity, dict[Any, Any] | None]:
    return {} if plan is None else {identity: entries(root.read()) for identity, root in plan.roots.items()}


def _report(call: ToolCall, what: str, stack: Stack) -> None:
    run = call.run
    journals.report_aside(
        Sighting(
            code="TL404",
            message=f"The tool {call.name!r} {what} after the run that called it was stopped: its thread goes on.",
            stack=stack,
            stacks=meetings.with_stacks(
                ("the tool", tools.defined(call)), ("the run", run.place_stack if run is not None else ())
            ),
            object=f"tool {call.name!r}" + (f" of {run.label}" if run is not None else ""),
            request=run.request.id if run is not None and run.request else None,
            conversation=run.request.conversation if run is not None and run.request else None,
            fix="Write the tool with `async def`, which a stop ends, or let it ask whether it is still wanted.",
        )
    )
