"""Two tool calls at once that change the same entry of state outside them, one of them from what it had read
before the other changed it (TL403).

A coroutine is followed from one wait to the next: what changes between two waits, it has changed itself. When it
changes an entry that another call changed while it waited, and its code read the entry before that wait and not
again after it, the other's update is lost. A lock around both makes this impossible, so locks need not be known.
A plain function runs in a thread and cannot be followed: there a lock in its code is believed.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from turnlane.guard import journals, meetings, tools
from turnlane.guard.journal import HazardError, Sighting
from turnlane.guard.runs import ToolCall
from turnlane.guard.tool_state import Identity, Plan, Root, changed, entries, plan_of, takes_lock

MAX_INNOCENT: Final = 2000
MAX_DEPTH: Final = 32

Waiting = tuple[tuple[types.CodeType, int], ...]
"""Where a call waits: its code and that of the helpers it awaits, outermost first, with the offset in each."""


@dataclass(slots=True)
class Watch:
    """What is known of one call.

    Attributes:
        missed: what others changed while it waited: name and entry, where it waited, who changed it.
        before: for a plain function, what there was when it began.
    """

    plan: Plan
    missed: list[tuple[Identity, Any, Waiting, ToolCall]] = field(default_factory=list)
    waiting: Waiting = ()
    before: dict[Identity, dict[Any, Any] | None] = field(default_factory=dict)
    threads: bool = False


_innocent: set[types.CodeType] = set()
"""Code of functions that change nothing outside themselves: looked into once."""


def install() -> None:
    """Listen to tool calls."""
    tools.beginning.append(began)
    tools.ending.append(ended)


def began(call: ToolCall, function: Any) -> None:
    """Listens to the beginning of tool calls."""
    code = call.notes.get("code")
    if code is None or code in _innocent or call.run is None:
        return
    plan = plan_of(function)
    threads = not inspect.iscoroutinefunction(inspect.unwrap(function))
    if plan is None or (threads and takes_lock(plan)):
        if len(_innocent) < MAX_INNOCENT:
            _innocent.add(code)
        return
    watch = Watch(plan, threads=threads)
    call.notes["state"] = watch
    if threads:
        watch.before = _look(watch)
    else:
        call.notes["steps"] = lambda coroutine: Stepped(call, watch, coroutine)


def ended(call: ToolCall, error: BaseException | None) -> None:
    """Listens to the end of tool calls."""
    watch: Watch | None = call.notes.get("state")
    if watch is None:
        return
    try:
        if watch.threads and error is None:
            _compare_threads(call, watch)
    finally:
        del call.notes["state"]


class Stepped:
    """Runs a tool's coroutine and looks, between one wait and the next, at what it has changed."""

    def __init__(self, call: ToolCall, watch: Watch, coroutine: Any) -> None:
        self.call = call
        self.watch = watch
        self.coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            before = _look(self.watch)
            lines = Lines(self.coroutine, self.watch.plan) if self.watch.missed else None
            try:
                with lines or contextlib.nullcontext():
                    if thrown is None:
                        waited = self.coroutine.send(sent)
                    else:
                        error, thrown = thrown, None
                        waited = self.coroutine.throw(error)
            except StopIteration as stop:
                self._compare(before, lines)
                return stop.value
            self._compare(before, lines)
            self.watch.waiting = _waiting(self.coroutine, self.watch.plan)
            try:
                sent = yield waited
            except GeneratorExit:
                self.coroutine.close()
                raise
            except BaseException as error:
                thrown = error

    def _compare(self, before: dict[Identity, dict[Any, Any] | None], lines: Lines | None) -> None:
        try:
            for identity, root in self.watch.plan.roots.items():
                found = changed(before.get(identity), entries(root.read()))
                if lines is not None and lines.wrote(identity):
                    # Perhaps what was there already, as two that count do.
                    found |= {
                        entry
                        for missed, entry, _, _ in self.watch.missed
                        if missed == identity and _is_its_own(self.call, entry)
                    }
                for entry in found:
                    _wrote(self.call, self.watch, root, entry)
        except HazardError:
            raise
        except Exception as error:
            journals.trouble("tool state", error)


class Lines:
    """Which lines of a tool run until its next wait; nothing where a debugger or a coverage tool traces already.

    Only while an update of another call may be lost, which is seldom: tracing is slow.
    """

    def __init__(self, coroutine: Any, plan: Plan) -> None:
        self.plan = plan
        self.seen: set[tuple[types.CodeType, int]] = set()
        self.frames = [frame for frame in frames_of(coroutine) if frame.f_code in plan.uses]
        self.tracing = False

    def __enter__(self) -> None:
        if sys.gettrace() is not None:
            return
        self.tracing = True
        for frame in self.frames:
            frame.f_trace = self._line
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        if self.tracing:
            sys.settrace(None)
            for frame in self.frames:
                frame.f_trace = None

    def wrote(self, identity: Identity) -> bool:
        """Whether a line ran that changes the state."""
        return any(
            (code, use.line) in self.seen
            for code, uses in self.plan.uses.items()
            for use in uses
            if use.root is not None and use.root.identity == identity and not use.reads
        )

    def _call(self, frame: types.FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code in self.plan.uses else None

    def _line(self, frame: types.FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.seen.add((frame.f_code, frame.f_lineno))
        return self._line


def _look(watch: Watch) -> dict[Identity, dict[Any, Any] | None]:
    try:
        return {identity: entries(root.read()) for identity, root in watch.plan.roots.items()}
    except Exception as error:
        journals.trouble("tool state", error)
        return {}


def _waiting(coroutine: Any, plan: Plan) -> Waiting:
    """Where a coroutine waits, in the code that the plan knows."""
    return tuple((frame.f_code, frame.f_lasti) for frame in frames_of(coroutine) if frame.f_code in plan.uses)


def frames_of(coroutine: Any) -> Iterator[types.FrameType]:
    """The frames of a coroutine that waits and of those that it awaits, outermost first."""
    step = coroutine
    for _ in range(MAX_DEPTH):
        frame = getattr(step, "cr_frame", None)
        if frame is None:
            return
        yield frame
        step = getattr(step, "cr_await", None)


def _wrote(call: ToolCall, watch: Watch, root: Root, entry: Any) -> None:
    """A call has changed an entry: what it missed before is judged, and others that wait have missed this."""
    for identity, key, waiting, other in watch.missed:
        if identity == root.identity and key == entry and _stale(watch.plan, identity, waiting):
            _report(call, other, root, entry)
            break
    for other in tuple(tools.going):
        theirs: Watch | None = other.notes.get("state")
        if theirs is not None and other is not call and root.identity in theirs.plan.roots:
            theirs.missed.append((root.identity, entry, theirs.waiting, call))
            del theirs.missed[:-100]


def _stale(plan: Plan, identity: Identity, waiting: Waiting) -> bool:
    """Whether code that waited there had read the state before, and changes it after without reading it again."""
    for number, (code, offset) in enumerate(waiting):
        inner = waiting[number + 1][0] if number + 1 < len(waiting) else None
        last = max(plan.writes(code, identity), default=-1)
        if any(offset < at <= last for at in plan.reads(code, identity)):
            return False
        if any(at < offset and not _is_call(plan, code, at, inner) for at in plan.reads(code, identity)):
            return True
    return False


def _is_call(plan: Plan, code: types.CodeType, offset: int, inner: types.CodeType | None) -> bool:
    """Whether the use at `offset` is the very helper that is waited for."""
    return inner is not None and any(use.offset == offset and use.helper is inner for use in plan.uses[code])


def _compare_threads(call: ToolCall, watch: Watch) -> None:
    """Two plain functions that changed one entry while both ran are told apart by what they were given."""
    for identity, root in watch.plan.roots.items():
        if not _reads_first(watch.plan, identity):
            continue
        for entry in changed(watch.before.get(identity), entries(root.read())):
            if not _is_its_own(call, entry):
                continue
            missed = next(
                (other for name, key, _, other in watch.missed if (name, key) == (identity, entry)), None
            )
            if missed is not None:
                _report(call, missed, root, entry)
            for other in tuple(tools.going):
                theirs: Watch | None = other.notes.get("state")
                if theirs is not None and theirs.threads and other is not call:
                    theirs.missed.append((identity, entry, (), call))


def _reads_first(plan: Plan, identity: Identity) -> bool:
    """Whether the state is read, then something is called that may take time, and then the state is changed."""
    for code, calls in plan.calls.items():
        first = min(plan.reads(code, identity), default=None)
        last = max(plan.writes(code, identity), default=-1)
        lines = {use.line for use in plan.uses[code] if use.offset in (first, last)}
        if first is not None and any(first < at < last and line not in lines for at, line in calls):
            return True
    return False


def _is_its_own(call: ToolCall, entry: Any) -> bool:
    """Whether a call may be the one that changed an entry: it was given its key, or knows it itself."""
    code = call.notes.get("code")
    known = entry == "" or entry in call.notes.get("arguments", ())
    return known or (code is not None and entry in code.co_consts)


def _report(call: ToolCall, other: ToolCall, root: Root, entry: Any) -> None:
    run, first = call.run, other.run
    assert run is not None
    what = f"{root.name}[{entry!r}]" if entry != "" else root.name
    journals.report(
        Sighting(
            code="TL403",
            message=f"{tools.both(other, call)} changed {what} at the same time: one read it, waited, and wrote "
            "over what the other had changed meanwhile. An update is lost.",
            stack=tools.defined(call) or run.place_stack,
            stacks=meetings.with_stacks(
                ("the tool", tools.defined(call)),
                ("the run that called it", run.place_stack),
                ("the run that called it at the same time", first.place_stack if first is not None else ()),
            ),
            object=f"tool {call.name!r} of {run.label}",
            request=run.request.id if run.request else None,
            conversation=run.request.conversation if run.request else None,
            requests=tools.requests_of(other, call),
            task=run.task_name,
        )
    )
