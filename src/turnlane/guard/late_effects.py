"""What a tool still does when the run that called it was stopped (TL404): in a thread, which nothing stops, or in
a task that the framework leaves alone."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from contextvars import Context
from types import CodeType
from typing import Any, Final

from turnlane.guard import executors, journals, meetings, runs, stacks, tools
from turnlane.guard.executors import Carried
from turnlane.guard.journal import Sighting
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.tool_state import Identity, Plan, changed, entries, plan_of

_FIXES: Final = {
    "thread": "Write the tool with `async def`, which a stop ends, or let it ask whether it is still wanted.",
    "task": "Stop the run by its cancellation token and let the tool take that, or let the tool ask, right before "
    "its effect, whether it is still wanted.",
}


class Left:
    """A tool call that goes on alone.

    Attributes:
        call: it.
        where: in a "thread" or in a "task".
        code: that of the function that it is in.
        plan: what this does with the state outside it; None when that is nothing.
        before: what that state was when it was left alone.
        positions: where it and the helpers that it waited for were then; empty when nobody knows.
    """

    __slots__ = ("before", "call", "code", "plan", "positions", "where")

    def __init__(self, call: ToolCall, where: str, function: Any, positions: dict[CodeType, int]) -> None:
        self.call = call
        self.where = where
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
        if call.run is not run:
            continue
        for work in executors.works_of(call):
            left_alone(work)
        function: Any = call.notes.get("function")
        if inspect.iscoroutinefunction(inspect.unwrap(function)) and "coroutine" in call.notes:
            call.notes["left"] = Left(call, "task", function, _positions(call.notes["coroutine"]))


def left_alone(work: Carried) -> None:
    """Nobody waits any more for a thread, neither for the tool call that it does nor for those made in it."""
    call = next((one for one in tuple(tools.going) if one.notes.get("work") is work), None)
    if call is None and work.values is not None:
        call = next((value for value in work.values if isinstance(value, ToolCall)), None)
    if call is not None and call.notes.get("function") is not None:
        work.left = Left(call, "thread", *_running(work, call))


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


def _positions(coroutine: Any) -> dict[CodeType, int]:
    """Where a coroutine is, and where that is that it awaits."""
    found: dict[CodeType, int] = {}
    while inspect.iscoroutine(coroutine) and coroutine.cr_frame is not None:
        found.setdefault(coroutine.cr_code, coroutine.cr_frame.f_lasti)
        coroutine = coroutine.cr_await
    return found


def _handed_over(function: Any) -> Any:
    while isinstance(function, functools.partial):
        in_context = isinstance(getattr(function.func, "__self__", None), Context)
        function = function.args[0] if in_context else function.func
    return function


def _code(function: Any) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


def _ended(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls: of those that are made in the thread, or in a task."""
    call.notes.pop("coroutine", None)
    left: Left | None = call.notes.pop("left", None)
    if left is not None and error is None:
        _compare(left)
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
            _report(left, f"changes {root.name}", tools.defined(left.call))
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
    left = _left_here()
    if left is None:
        return
    stack = stacks.capture()
    if isinstance(file, str | os.PathLike) and stacks.has_users(stack):
        _report(left, f"writes {os.path.basename(os.fspath(file))}", stack)


def _left_here() -> Left | None:
    """The tool call that the present code is part of, if its run was stopped."""
    work = executors.present()
    if work is not None and work.left is not None:
        found: Left = work.left
        return found
    call = runs.current_tool.get()
    return call.notes.get("left") if call is not None else None


def _look(plan: Plan | None) -> dict[Identity, dict[Any, Any] | None]:
    return {} if plan is None else {identity: entries(root.read()) for identity, root in plan.roots.items()}


def _report(left: Left, what: str, stack: Stack) -> None:
    call, run = left.call, left.call.run
    journals.report_aside(
        Sighting(
            code="TL404",
            message=f"The tool {call.name!r} {what} after the run that called it was stopped: its "
            f"{left.where} goes on.",
            stack=stack,
            stacks=meetings.with_stacks(
                ("the tool", tools.defined(call)), ("the run", run.place_stack if run is not None else ())
            ),
            object=f"tool {call.name!r}" + (f" of {run.label}" if run is not None else ""),
            request=run.request.id if run is not None and run.request else None,
            conversation=run.request.conversation if run is not None and run.request else None,
            fix=_FIXES[left.where],
        )
    )
