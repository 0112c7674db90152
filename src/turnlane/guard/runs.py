"""The heart of the guard: which runs are in which objects at this moment, and what it means when two meet.

A run is one call of an entry point of an agent, a team or a client. Frameworks tell of them with `call`; objects
that a run uses on its way (its model context, its termination condition) take part as `uses`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, Literal

from turnlane.guard import locks, objects, requests
from turnlane.guard.objects import TITLES, Role, Watched
from turnlane.guard.requests import Failure, Request
from turnlane.guard.stacks import NO_STACK, Stack, has_users, of_exception

Outcome = Literal["running", "ended", "failed", "cancelled", "abandoned"]

_numbers = itertools.count(1)
_lock = locks.free_after_fork()

RECURSION: Final = 3
"""So many runs inside each other's tools, of objects made at one place, are a recursion."""


class Run:
    """One call of an entry point.

    Attributes:
        watched: what is known of its object.
        label: the object for people.
        entry: the entry point: `run_stream`.
        parent: the run it was called from, through tools and tasks.
        tool: the tool call it was called from.
        stack: who called it.
        leftover: whether its object held another request's state when it began.
        stateless: whether its object keeps nothing between runs, so that others may be in it at the same time.
        survives: the run that it was begun in, when that one had been cancelled or left before.
        cancels: how often its task had been asked to stop when it began.
    """

    __slots__ = (
        "__weakref__", "cancels", "ended_at", "entry", "error", "label", "leftover", "loop", "notes", "number",
        "outcome", "parent", "request", "stack", "started", "stateless", "survives", "task", "task_name",
        "text", "thread", "tool", "uses", "watched",
    )  # fmt: skip

    def __init__(self, watched: Watched, label: str, entry: str, stack: Stack) -> None:
        self.number = next(_numbers)
        self.watched = watched
        self.label = label
        self.entry = entry
        self.stack = stack
        self.parent: Run | None = None
        self.tool: ToolCall | None = None
        self.request: Request | None = None
        self.task: Any = None
        self.task_name: str | None = None
        self.thread = threading.current_thread().name
        self.loop: Any = None
        self.started = time.monotonic()
        self.ended_at = 0.0
        self.outcome: Outcome = "running"
        self.error: BaseException | None = None
        self.leftover = 0
        self.stateless = False
        self.survives: Run | None = None
        self.cancels = 0
        self.text: str | None = None
        """What it was asked, when the framework can say so."""
        self.uses: list[Watched] = []
        self.notes: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Run {self.number} {self.label}.{self.entry} {self.outcome}>"

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.outcome == "running"

    def ancestors(self) -> Iterable[Run]:
        """The runs it was called from, the nearest first."""
        run = self.parent
        while run is not None:
            yield run
            run = run.parent

    def inside(self, watched: Watched) -> Run | None:
        """The nearest ancestor (or itself) that is in the same object."""
        run: Run | None = self
        while run is not None:
            if run.watched is watched:
                return run
            run = run.parent
        return None

    @property
    def place_stack(self) -> Stack:
        """The nearest stack that shows the user's code: its own, or that of a run it is part of."""
        stacks = (self.stack, *(outer.stack for outer in self.ancestors()), self.watched.made)
        return next((stack for stack in stacks if has_users(stack)), self.stack)

    @property
    def asked_to_stop(self) -> bool:
        """Whether its task was cancelled after it began, and it goes on."""
        task = self.task
        return self.running and task is not None and task.cancelling() > self.cancels

    @property
    def reader_left(self) -> bool:
        """Whether the client of its request went away."""
        return self.request is not None and bool(self.request.notes.get("disconnected"))

    @property
    def who(self) -> str:
        """The task or thread it runs in, for people."""
        return f"task {self.task_name}, thread {self.thread}" if self.task_name else f"thread {self.thread}"


class ToolCall:
    """One call of a tool by a run."""

    __slots__ = ("__weakref__", "ended", "label", "name", "notes", "number", "run", "stack", "started")

    def __init__(self, name: str, run: Run | None) -> None:
        self.number = next(_numbers)
        self.name = name
        self.run = run
        self.started = time.monotonic()
        self.ended = False
        self.stack: Stack = NO_STACK
        self.notes: dict[str, Any] = {}


current: ContextVar[Run | None] = ContextVar("turnlane_guard_run", default=None)
current_tool: ContextVar[ToolCall | None] = ContextVar("turnlane_guard_tool", default=None)

going: set[Run] = set()
"""The runs that go on now."""
beginning: list[Any] = []
"""Called with each run when it begins, after the meeting rules; may report."""
ending: list[Any] = []
"""Called with each run when it has ended."""


def enclosing() -> Run | None:
    """The run that the present code is part of, if it still goes on."""
    run = current.get()
    while run is not None and not run.running:
        run = run.parent
    return run


def survived() -> Run | None:
    """The run that the present code was begun in, if that one was cancelled or left, and this goes on."""
    run = current.get()
    for _ in range(8):
        if run is None or run.outcome in ("cancelled", "abandoned"):
            return run
        run = run.parent
    return None


def within(thing: object) -> bool:
    """Whether the present code is a step of a run of `thing` itself, such as `run` that calls `run_stream`."""
    run = current.get()
    if run is None or not run.running or objects.known(thing) is not run.watched:
        return False
    tool = current_tool.get()
    return tool is None or tool.ended or tool.run is not run


def begin(
    thing: object,
    role: Role,
    entry: str,
    stack: Stack,
    *,
    uses: Sequence[tuple[object, Role]] = (),
    leftover: int = 0,
    text: str | None = None,
    stateless: bool = False,
    outer: Run | None = None,
) -> Run | None:
    """A run enters `thing`; None when it is part of one that is in it already, as `run` calls `run_stream`.

    Args:
        uses: objects that it works on as well.
        leftover: how much state `thing` holds at this moment, in the framework's own count.
        text: what it is asked.
        stateless: `thing` keeps nothing between runs: that others are in it as well is right.
        outer: the run that it is part of, when the framework knows and the context does not say so.
    """
    from turnlane.guard import meetings

    watched = objects.watch(thing, role)
    parent = enclosing() or outer
    tool = current_tool.get()
    if tool is not None and tool.ended:
        tool = None
    if parent is not None and (tool is None or tool.run is not parent) and parent.inside(watched):
        within = parent.inside(watched)
        if not any(step.tool is not None for step in _between(parent, within)):
            return None
    run = Run(watched, watched.name(thing), entry, stack)
    run.parent, run.request, run.leftover, run.text = parent, requests.current.get(), leftover, text
    if run.request is None and parent is not None:
        run.request = parent.request
    run.survives = survived() if parent is None else None
    run.stateless = stateless
    run.tool = tool if tool is not None and (parent is None or tool.run is parent) else None
    run.task, run.loop = _task_and_loop()
    if run.task is not None:
        run.task_name, run.cancels = run.task.get_name(), run.task.cancelling()
    with _lock:
        met = [other for other in watched.active if other.running]
        watched.active.append(run)
        going.add(run)
    seen: list[Any] = [meetings.entered(run, met)]
    for used, used_role in uses:
        other = objects.watch(used, used_role)
        with _lock:
            others = [one for one in other.active if one.running]
            other.active.append(run)
        run.uses.append(other)
        seen.append(meetings.used(run, other, used, others))
    try:
        meetings.tell(run, [sighting for sighting in seen if sighting is not None])
        for listener in beginning:
            listener(run)
    except BaseException:  # strict: the run does not take place, and leaves nothing in the middle
        run.notes["complete"] = True
        end(run, "abandoned")
        raise
    return run


def end(run: Run, outcome: Outcome, error: BaseException | None = None) -> None:
    """A run has left its object. Does nothing the second time."""
    if not run.running:
        return
    run.outcome, run.error, run.ended_at = outcome, error, time.monotonic()
    with _lock:
        going.discard(run)
        for watched in (run.watched, *run.uses):
            if run in watched.active:
                watched.active.remove(run)
            watched.last, watched.dirty = run, not (run.stateless and watched is run.watched)
    if error is not None and outcome == "failed":
        if run.tool is not None:
            run.tool.notes.setdefault("errors", []).append(id(error))
        failed(error, agent=run.label, tool=None, run=run)
    try:
        for listener in ending:
            listener(run)
    finally:
        # What a finished run holds on to must not keep the program's objects alive: an object remembers its last.
        run.task, run.loop, run.error, run.survives = None, None, None, None


def failed(error: BaseException, *, agent: str | None, tool: str | None, run: Run | None = None) -> None:
    """An exception left a run, a tool or a model call: kept with the request, the first one first."""
    from turnlane.guard import failures

    request = run.request if run is not None else requests.current.get()
    failures.saw(request, Failure(error, of_exception(error), agent=agent, tool=tool))


def forget_state(thing: object) -> None:
    """The object's state was reset or replaced: what earlier runs left in it is gone."""
    watched = objects.known(thing)
    if watched is not None:
        watched.dirty = False
        watched.last = None


def set_current(run: Run | None) -> Token[Run | None]:
    """The present code is part of `run`, until `unset_current`."""
    return current.set(run)


def unset_current(token: Token[Run | None]) -> None:
    """Undo `set_current`; in another context than it was made, nothing needs to be undone."""
    try:  # this happens with every step of a stream, where `contextlib.suppress` is slow
        current.reset(token)
    except ValueError:
        return


def unset_tool(token: Token[ToolCall | None]) -> None:
    """The same for `current_tool`: a coroutine that nobody finishes is closed in whatever context collects it."""
    with contextlib.suppress(ValueError):
        current_tool.reset(token)


def _between(run: Run, ancestor: Run | None) -> Iterable[Run]:
    step: Run | None = run
    while step is not None and step is not ancestor:
        yield step
        step = step.parent


def _task_and_loop() -> tuple[Any, Any]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None, None
    return asyncio.current_task(loop), loop


def described(watched: Watched, label: str) -> str:
    """`AssistantAgent 'support' (agent)`: for messages."""
    kind = TITLES[watched.role]
    return label if kind.split()[-1] in label.lower() else f"{kind} {label}"


def forked() -> None:
    """In a child after a fork."""
    going.clear()
    objects.forked()
