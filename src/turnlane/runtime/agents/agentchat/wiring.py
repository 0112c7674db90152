"""Walks the objects a factory made and puts boundary, guards and human input in their places.

The framework keeps its parts in attributes; a walk over them reaches nested teams, agents used as tools and
the parts of users' own agent classes alike. Only objects made for this run are changed, never shared ones: a
list or dict that holds a client may be anybody's, so the agent gets a copy with the stand-ins in it.
"""

from __future__ import annotations

import asyncio
import copy
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any, Final, TypeAlias

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import ChatAgent, Response, Team, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage
from autogen_core import CancellationToken
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from turnlane.runtime.agent import ReentrantRun, Run, SharedObject, current_agent, current_tool
from turnlane.runtime.agents.agentchat.model_client import BoundaryClient
from turnlane.runtime.agents.agentchat.tools import GuardedWorkbench

_DEPTH = 12

StandIn: TypeAlias = Callable[[object], object]


class _Role(Flag):
    """What an object is to the walk."""

    NONE = 0
    CONTAINER = auto()
    STATEFUL = auto()
    """Holds history and belongs to one run."""
    OTHER_PART = auto()
    """May hold parts, and may be shared by the process."""
    REPLACED = auto()
    """Gets a stand-in."""


_ROLES: Final = (
    (_Role.CONTAINER, (list, tuple, dict, set, frozenset)),
    (_Role.STATEFUL, (ChatAgent, Team, TerminationCondition, ChatCompletionContext)),
    (_Role.OTHER_PART, (BaseTool, Workbench)),
    (_Role.REPLACED, (ChatCompletionClient, Workbench)),
)
_roles: weakref.WeakKeyDictionary[type, _Role] = weakref.WeakKeyDictionary()


def _role(thing: object) -> _Role:
    # Asked once per class: `isinstance` with the framework's protocols is most of what a walk costs.
    kind = type(thing)
    role = _roles.get(kind)
    if role is None:
        role = _Role.NONE
        for flag, classes in _ROLES:
            if issubclass(kind, classes):
                role |= flag
        _roles[kind] = role
    return role


class CancelledByAgent(Exception):
    """An agent raised CancelledError though nobody had cancelled it; teams would wait for it for ever."""


class Memory:
    """Which objects earlier runs used, to find sharing (TL201, TL203, TL205). Holds none of them alive."""

    def __init__(self) -> None:
        self._used: dict[int, weakref.ref[object]] = {}

    def used_before(self, thing: object) -> bool:
        kept = self._used.get(id(thing))
        return kept is not None and kept() is thing

    def remember(self, thing: object) -> None:
        number, used = id(thing), self._used
        used[number] = weakref.ref(thing, lambda _: used.pop(number, None))


@dataclass
class Parts:
    """What the walk found."""

    agents: list[ChatAgent] = field(default_factory=list)
    teams: list[Team] = field(default_factory=list)
    humans: list[UserProxyAgent] = field(default_factory=list)
    tools: list[BaseTool[Any, Any]] = field(default_factory=list)
    stateful: list[object] = field(default_factory=list)
    """Agents, teams, termination conditions, model contexts: what holds history and belongs to one run."""
    places: list[tuple[object, str, object]] = field(default_factory=list)
    """(holder, attribute, value): where they are, themselves or in containers."""


def find_parts(built: object) -> Parts:
    """Everything of interest that is reachable from an agent or team.

    Raises:
        SharedObject: one agent stands in two teams (TL205).
    """
    parts = Parts()
    _visit(built, parts, set(), 0)
    _refuse_agent_in_two_teams(parts)
    return parts


def _visit(thing: object, parts: Parts, seen: set[int], depth: int) -> None:
    """Take a part in, and go on to what it holds."""
    if id(thing) in seen or depth > _DEPTH:
        return
    seen.add(id(thing))
    # A tool or workbench may be shared by the process; its own clients are left as they are.
    changeable = _role(thing) & _Role.STATEFUL
    if changeable:
        parts.stateful.append(thing)
    _sort_in(thing, parts)
    for name, value in list(getattr(thing, "__dict__", {}).items()):
        if _look_through(value, parts, seen, depth + 1) and changeable:
            parts.places.append((thing, name, value))


def _look_through(value: object, parts: Parts, seen: set[int], depth: int) -> bool:
    """Visit the parts in an attribute's value; True when there are clients or workbenches in it."""
    role = _role(value)
    if not role or depth > _DEPTH:
        return False
    if role & (_Role.STATEFUL | _Role.OTHER_PART):
        _visit(value, parts, seen, depth)
    if not role & _Role.CONTAINER:
        return bool(role & _Role.REPLACED)
    found = False
    for inner in _contents(value):
        found = _look_through(inner, parts, seen, depth + 1) or found
    return found


def _contents(container: Any) -> list[object]:
    return list(container.values() if isinstance(container, dict) else container)


def _sort_in(thing: object, parts: Parts) -> None:
    if isinstance(thing, Team):
        parts.teams.append(thing)
    elif isinstance(thing, ChatAgent):
        parts.agents.append(thing)
        if isinstance(thing, UserProxyAgent):
            parts.humans.append(thing)
    elif isinstance(thing, BaseTool):
        parts.tools.append(thing)


def _refuse_agent_in_two_teams(parts: Parts) -> None:
    home: dict[int, Team] = {}
    for team in parts.teams:
        for participant in getattr(team, "_participants", ()):
            other = home.setdefault(id(participant), team)
            if other is not team:
                raise SharedObject(
                    f"agent {participant.name!r} is in two teams, so their histories would mix; "
                    "make one object for each team",
                    "TL205",
                )


def refuse_shared(parts: Parts, memory: Memory) -> None:
    """Raises SharedObject when an earlier run already used a part that holds history."""
    for thing in parts.stateful:
        if memory.used_before(thing):
            name = getattr(thing, "name", None)
            what = f"{type(thing).__name__}{f' {name!r}' if name else ''}"
            hazard = "TL201" if isinstance(thing, ChatAgent | Team) else "TL203"
            raise SharedObject(
                f"the factory returned {what} that an earlier turn already used, so one user's text would reach "
                "another's prompt: make it inside the factory, afresh at each call",
                hazard,
            )
    for thing in parts.stateful:
        memory.remember(thing)


def put_in_place(
    parts: Parts,
    wrap_client: Callable[[ChatCompletionClient], BoundaryClient],
    wrap_workbench: Callable[[Workbench], GuardedWorkbench],
) -> None:
    """Replace clients and workbenches by their guarded stand-ins, one for each object."""
    stand_ins: dict[int, object] = {}

    def stand_in(value: object) -> object:
        if id(value) not in stand_ins:
            is_client = isinstance(value, ChatCompletionClient)
            stand_ins[id(value)] = wrap_client(value) if is_client else wrap_workbench(value)  # type: ignore[arg-type]
        return stand_ins[id(value)]

    for holder, name, value in parts.places:
        setattr(holder, name, _with_stand_ins(value, stand_in))
    # From now on only the stand-ins refer to what they stand for: see `discard.close_own`.
    parts.places.clear()


def _with_stand_ins(value: object, stand_in: StandIn) -> object:
    """The value with stand-ins; containers that hold some are copied, all others kept."""
    role = _role(value)
    if role & _Role.REPLACED:
        return stand_in(value)
    if not role & _Role.CONTAINER:
        return value
    before = _contents(value)
    after = [_with_stand_ins(inner, stand_in) for inner in before]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return value
    return _rebuilt(value, after)


def _rebuilt(container: Any, values: list[object]) -> object:
    if isinstance(container, tuple) and hasattr(container, "_make"):
        return container._make(values)
    if isinstance(container, tuple | set | frozenset):
        return type(container)(values)
    if type(container) is list:
        return values
    changed = copy.copy(container)
    for key, value in zip(container if isinstance(container, dict) else range(len(values)), values, strict=True):
        changed[key] = value
    return changed


class _Entrance:
    """Lets a run into an agent or team once at a time.

    Calls that an agent makes at once wait for each other (two calls of one agent as a tool). A call that comes
    out of the agent's own run would wait for itself, and is refused (TL402). `on_messages` and
    `on_messages_stream` may call each other, in one way or the other; that is one entry.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = asyncio.Lock()
        self._doors: dict[str, str | None] = {}

    @asynccontextmanager
    async def through(self, door: str) -> AsyncIterator[None]:
        outer = _inside.get()
        if self in outer:
            self._refuse_own_tool(door)
            self._doors[door] = current_tool.get()
            try:
                yield
            finally:
                self._doors.pop(door, None)
            return
        async with self._lock:
            self._doors = {door: current_tool.get()}
            _inside.set((*outer, self))
            try:
                yield
            finally:
                _inside.set(outer)
                self._doors = {}

    def _refuse_own_tool(self, door: str) -> None:
        tool = current_tool.get()
        if door in self._doors or any(entered_by != tool for entered_by in self._doors.values()):
            raise ReentrantRun(
                f"{self._what} was run while it is running in this turn; return data to the run instead"
            )


_inside: ContextVar[tuple[_Entrance, ...]] = ContextVar("turnlane_inside", default=())
"""The agents and teams that the code which runs here is part of."""


def watch_agent(
    agent: ChatAgent,
    run: Run,
    note: Callable[[Exception, str], None],
    answered: Callable[[BaseChatMessage], None] | None,
) -> None:
    """Let the run know which agent speaks, keep its first error, stop it, and refuse a second entry.

    `answered` gets the agent's answers.
    """
    original, original_plain = agent.on_messages_stream, agent.on_messages
    entrance = _Entrance(f"agent {agent.name!r}")

    async def on_messages_stream(
        messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | Response, None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(entrance.through("stream"))
            stack.enter_context(_watched(agent, run, note))
            async for message in original(messages, cancellation_token):
                if isinstance(message, Response):
                    if answered is not None:
                        answered(message.chat_message)
                    # The framework itself takes the answer and never asks for the end of the stream.
                    await stack.aclose()
                yield message

    async def on_messages(messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        async with entrance.through("plain"):
            with _watched(agent, run, note):
                return await original_plain(messages, cancellation_token)

    agent.on_messages_stream = on_messages_stream  # type: ignore[method-assign]
    agent.on_messages = on_messages  # type: ignore[method-assign]


@contextmanager
def _watched(agent: ChatAgent, run: Run, note: Callable[[Exception, str], None]) -> Iterator[None]:
    name = agent.name
    before = current_agent.get()
    current_agent.set(name)
    own = not type(agent).__module__.startswith("autogen_")
    try:
        with run.stoppable(), run.in_foreign_code() if own else nullcontext():
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if run.stop or task is None or task.cancelling():
            raise
        ours = CancelledByAgent(f"agent {name!r} raised CancelledError though nothing had cancelled it")
        note(ours, name)
        raise ours from error
    except Exception as error:
        note(error, name)
        raise
    finally:
        current_agent.set(before)


def watch_team(team: Team) -> None:
    """Refuse a second run of a team that is running, with a typed error instead of a ValueError."""
    original = team.run_stream
    entrance = _Entrance(f"team {team.name!r}")

    async def run_stream(**kwargs: Any) -> AsyncGenerator[Any, None]:
        async with entrance.through("stream"):
            async for message in original(**kwargs):
                yield message

    team.run_stream = run_stream  # type: ignore[method-assign]
