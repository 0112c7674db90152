"""Walks the objects a factory made and puts boundary, guards and human input in their places.

The framework keeps its parts in attributes; a walk over them reaches nested teams, agents used as tools and
the parts of users' own agent classes alike. Only objects made for this run are changed, never shared ones.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import ChatAgent, Response, Team, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage
from autogen_core import CancellationToken
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from turnlane.runtime.agent import ReentrantRun, Run, SharedObject, current_agent
from turnlane.runtime.agents.agentchat.model_client import BoundaryClient
from turnlane.runtime.agents.agentchat.tools import GuardedWorkbench

_CONTAINERS = (list, tuple, dict, set)
_PARTS = (ChatAgent, Team, BaseTool, TerminationCondition, ChatCompletionContext)
_DEPTH = 12


class Memory:
    """Which objects earlier runs used, to find sharing (TL201, TL203, TL205). Holds none of them alive."""

    def __init__(self) -> None:
        self._used: dict[int, weakref.ref[object]] = {}
        self._process_wide: dict[int, weakref.ref[object]] = {}

    def used_before(self, thing: object) -> bool:
        return _knows(self._used, thing)

    def remember(self, thing: object) -> None:
        _keep(self._used, thing)

    def is_process_wide(self, thing: object) -> bool:
        """Whether a client or workbench appeared in more than one run, so that no single run may close it."""
        return _knows(self._process_wide, thing)

    def seen_again(self, thing: object) -> None:
        if self.used_before(thing):
            _keep(self._process_wide, thing)
        self.remember(thing)


def _knows(table: dict[int, weakref.ref[object]], thing: object) -> bool:
    kept = table.get(id(thing))
    return kept is not None and kept() is thing


def _keep(table: dict[int, weakref.ref[object]], thing: object) -> None:
    number = id(thing)
    table[number] = weakref.ref(thing, lambda _: table.pop(number, None))


@dataclass
class Parts:
    """What the walk found."""

    agents: list[ChatAgent] = field(default_factory=list)
    teams: list[Team] = field(default_factory=list)
    humans: list[UserProxyAgent] = field(default_factory=list)
    clients: list[ChatCompletionClient] = field(default_factory=list)
    workbenches: list[Workbench] = field(default_factory=list)
    places: list[tuple[object, str | int, object]] = field(default_factory=list)
    """(holder, attribute or index, value): where clients and workbenches are to be replaced."""


def find_parts(built: object) -> Parts:
    """Everything of interest that is reachable from an agent or team.

    Raises:
        SharedObject: one agent stands in two teams (TL205).
    """
    parts = Parts()
    seen: set[int] = set()
    _visit(built, parts, seen, 0)
    _refuse_agent_in_two_teams(parts)
    return parts


def _visit(thing: object, parts: Parts, seen: set[int], depth: int) -> None:
    if id(thing) in seen or depth > _DEPTH:
        return
    seen.add(id(thing))
    if isinstance(thing, Team):
        parts.teams.append(thing)
    elif isinstance(thing, ChatAgent):
        parts.agents.append(thing)
        if isinstance(thing, UserProxyAgent):
            parts.humans.append(thing)
    for key, value in _inside(thing):
        if isinstance(value, ChatCompletionClient):
            parts.clients.append(value)
            parts.places.append((thing, key, value))
        elif isinstance(value, Workbench):
            parts.workbenches.append(value)
            parts.places.append((thing, key, value))
            _visit(value, parts, seen, depth + 1)
        elif isinstance(value, _PARTS) or (isinstance(value, _CONTAINERS) and _worth_a_look(thing)):
            _visit(value, parts, seen, depth + 1)


def _inside(thing: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(thing, dict):
        yield from thing.items()
    elif isinstance(thing, list | tuple | set):
        yield from enumerate(thing)
    else:
        yield from list(getattr(thing, "__dict__", {}).items())


def _worth_a_look(thing: object) -> bool:
    return isinstance(thing, ChatAgent | Team | Workbench | BaseTool | TerminationCondition | list | tuple | dict)


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


def refuse_shared(built: object, parts: Parts, memory: Memory) -> None:
    """Raises SharedObject when an earlier run already used a part that holds history."""
    for thing in _stateful(parts):
        if memory.used_before(thing):
            name = getattr(thing, "name", None)
            what = f"{type(thing).__name__}{f' {name!r}' if name else ''}"
            hazard = "TL201" if isinstance(thing, ChatAgent | Team) else "TL203"
            raise SharedObject(
                f"the factory returned {what} that an earlier turn already used, so one user's text would reach "
                "another's prompt: make it inside the factory, afresh at each call",
                hazard,
            )
    for thing in _stateful(parts):
        memory.remember(thing)
    for shareable in (*parts.clients, *parts.workbenches):
        memory.seen_again(shareable)


def _stateful(parts: Parts) -> Iterator[object]:
    for thing in (*parts.agents, *parts.teams):
        yield thing
        for value in list(vars(thing).values()):
            if isinstance(value, TerminationCondition | ChatCompletionContext):
                yield value


def put_in_place(
    parts: Parts,
    wrap_client: Callable[[ChatCompletionClient], BoundaryClient],
    wrap_workbench: Callable[[Workbench], GuardedWorkbench],
) -> None:
    """Replace clients and workbenches by their guarded stand-ins, one for each object."""
    stand_ins: dict[int, object] = {}
    for holder, key, value in parts.places:
        if isinstance(holder, Workbench | BaseTool) and not isinstance(key, int):
            continue  # a tool's own client belongs to the tool: wrapping it would change a shared object
        if id(value) not in stand_ins:
            stand_ins[id(value)] = (
                wrap_client(value) if isinstance(value, ChatCompletionClient) else wrap_workbench(value)  # type: ignore[arg-type]
            )
        _replace(holder, key, stand_ins[id(value)])


def _replace(holder: object, key: str | int, value: object) -> None:
    if isinstance(holder, list | dict):
        holder[key] = value  # type: ignore[index]
    elif isinstance(key, str):
        setattr(holder, key, value)


def watch_agent(agent: ChatAgent, run: Run, note: Callable[[Exception, str], None]) -> None:
    """Let the run know which agent speaks, keep its first error, stop it, and refuse a second entry."""
    original = agent.on_messages_stream
    entered = False

    async def on_messages_stream(
        messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | Response, None]:
        nonlocal entered
        if entered:
            raise ReentrantRun(
                f"agent {agent.name!r} was run while it is running in this turn; return data to the run instead"
            )
        entered = True
        before = current_agent.get()
        current_agent.set(agent.name)
        try:
            with run.stoppable():
                async for message in original(messages, cancellation_token):
                    yield message
        except Exception as error:
            note(error, agent.name)
            raise
        finally:
            entered = False
            current_agent.set(before)

    agent.on_messages_stream = on_messages_stream  # type: ignore[method-assign]


def watch_team(team: Team) -> None:
    """Refuse a second run of a team that is running, with a typed error instead of a ValueError."""
    original = team.run_stream
    entered = False

    async def run_stream(**kwargs: Any) -> AsyncGenerator[Any, None]:
        nonlocal entered
        if entered:
            raise ReentrantRun(
                f"team {team.name!r} was run while it is running in this turn; return data to the run instead"
            )
        entered = True
        try:
            async for message in original(**kwargs):
                yield message
        finally:
            entered = False

    team.run_stream = run_stream  # type: ignore[method-assign]
