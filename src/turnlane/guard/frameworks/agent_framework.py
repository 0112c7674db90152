"""Microsoft Agent Framework: agents, which keep nothing, the sessions that they are handed, workflows and tools.

One agent may serve everybody. What must not be shared is a session (`AgentThread` in the first releases), which is
the history of one conversation. A workflow keeps what its executors hold, and refuses a second run at once.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from turnlane.guard import answers, histories, meetings, objects, requests, runs, two_teams
from turnlane.guard.first_objects import first_of_each_class
from turnlane.guard.frameworks import agent_framework_streams as streams
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import Plain, watch_construction
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.tools import watch_tool

NO_MISTAKES = ("UserInputRequiredException", "MiddlewareTermination", "MiddlewareFailure")
"""Exceptions by which a tool speaks to the framework."""


class AgentEntry(Plain):
    """`run` and, in the first releases, `run_stream` of an agent."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        session = kwargs.get("session") or kwargs.get("thread")
        if session is not None and (before := objects.known(session)) is not None:
            streams.look_for_left(before.active)
        run = runs.begin(
            thing,
            "agent",
            self.entry,
            stack,
            uses=[(session, "session")] if session is not None else [],
            leftover=held(session),
            text=asked(args, kwargs),
            stateless=True,
        )
        if run is not None:
            run.notes["answers"] = True
            histories.handed(run, args[0] if args else kwargs.get("messages"))
        return run

    def result(self, run: Run, result: Any) -> None:
        answers.answered(run, str(getattr(result, "text", "") or ""))


class WorkflowEntry(Plain):
    """`run` and, in the first releases, `run_stream` of a workflow."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        watched = objects.watch(thing, "team")
        if watched.last is not None and watched.last.outcome != "ended" and not unsent(thing):
            watched.dirty = False  # its executors hold nothing of the run that failed
        if continues(args, kwargs):
            runs.forget_state(thing)  # an answer to what the run before it has asked, or a state that was saved
        run = runs.begin(thing, "team", self.entry, stack, leftover=kept(thing), text=asked(args, kwargs))
        if run is not None:
            _in_two_workflows(run, thing)
        return run


def _in_two_workflows(run: Run, workflow: Any) -> None:
    """An agent's executor keeps what it has heard: the next workflow that it works in is told of it (TL205)."""
    for part in executors(workflow):
        session = session_of(part)
        if session is None:
            continue
        watched = objects.watch(part, "agent")
        watched.label = watched.label or f"{type(part).__name__} {getattr(part, 'id', '')!r}"
        before: Run | None = watched.notes.get("ran")
        watched.notes["ran"] = run
        if before is None or before.watched is run.watched or not held(session):
            continue
        sighting = two_teams.sighting(run, before, watched, before.watched, run.watched)
        if sighting is not None:
            meetings.tell(run, [sighting])
            return


def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The text of a run, when it is handed as one."""
    given = args[0] if args else kwargs.get("messages", kwargs.get("message"))
    return given if isinstance(given, str) else None


def held(session: Any) -> int:
    """How much a session or thread holds; 1 for a history that is kept by the service."""
    if session is None:
        return 0
    if getattr(session, "service_session_id", None) or getattr(session, "service_thread_id", None):
        return 1
    state = getattr(session, "state", None)
    if isinstance(state, dict):
        return sum(len(part) if isinstance(part, dict | list) else 1 for part in state.values())
    store = getattr(session, "message_store", None) or getattr(session, "_message_store", None)
    return len(getattr(store, "messages", None) or getattr(store, "_messages", ()) or ())


def executors(workflow: Any) -> list[Any]:
    """The parts of a workflow."""
    found = getattr(workflow, "executors", None)
    return list(found.values()) if isinstance(found, dict) else []


def kept(workflow: Any) -> int:
    """How much the agents of a workflow remember of its runs."""
    return sum(held(session_of(part)) for part in executors(workflow))


def session_of(part: Any) -> Any:
    """The session that a part of a workflow keeps for its agent."""
    return getattr(part, "_session", None) or getattr(part, "_agent_thread", None)


def unsent(workflow: Any) -> int:
    """How many messages still wait for an agent of the workflow."""
    return sum(len(getattr(part, "_cache", ())) for part in executors(workflow))


def continues(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a run goes on where another one stopped."""
    return bool(kwargs.get("responses") or kwargs.get("checkpoint_id"))


def install() -> None:
    """Wait for the package's modules."""
    requests.ending.append(streams.request_ended)
    when_imported("agent_framework._types", streams.watch_streams)
    when_imported("agent_framework._agents", _agents)
    when_imported("agent_framework._sessions", _sessions)
    when_imported("agent_framework._threads", _sessions)
    when_imported("agent_framework._workflows._workflow", _workflows)
    when_imported("agent_framework._tools", _tools)


def _agents(module: ModuleType) -> None:
    base = module.BaseAgent
    watch_construction(base, "agent", after=first_of_each_class(_watch_class))
    for name in ("RawAgent", "Agent", "ChatAgent"):
        if hasattr(module, name):
            _watch_class(getattr(module, name))


def _watch_class(kind: type) -> None:
    """Layers of the framework and classes of the user's own may bring their own `run`."""
    for owner in kind.__mro__:
        for entry in ("run", "run_stream"):
            if inspect.isfunction(vars(owner).get(entry)) and not getattr(owner, "_is_protocol", False):
                streams.watch_run(owner, entry, AgentEntry(entry))


def _sessions(module: ModuleType) -> None:
    for name in ("AgentSession", "AgentThread"):
        if hasattr(module, name):
            watch_construction(getattr(module, name), "session")


def _workflows(module: ModuleType) -> None:
    watch_construction(module.Workflow, "team")
    for entry in ("run", "run_stream"):
        if entry in vars(module.Workflow):
            streams.watch_run(module.Workflow, entry, WorkflowEntry(entry), refused=_refused)


def _refused(
    thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack, calls: streams.Calls
) -> None:
    """A workflow says no to a second run before that has begun."""
    watched = objects.watch(thing, "team")
    other = next((one for one in watched.active if one.running), None) or calls.last(thing, watched)
    if other is not None:
        run = Run(watched, watched.name(thing), "run", stack)
        run.request = requests.current.get()
        meetings.tell(run, [meetings.overlapped(run, other)])


def _tools(module: ModuleType) -> None:
    for name in ("FunctionTool", "AIFunction"):
        tool = getattr(module, name, None)
        if tool is not None:
            inner = "_invoke_function" if "_invoke_function" in vars(tool) else "invoke"
            watch_tool(tool, inner, lambda tool: str(tool.name), function_of, _about)


def _about(call: ToolCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = args[0] if args else kwargs.get("call_kwargs", kwargs.get("arguments"))
    call.notes["arguments"] = tuple(given.values()) if isinstance(given, dict) else ()


def function_of(tool: Any) -> Any:
    """The user's function behind a tool."""
    function = getattr(tool, "func", None)
    return getattr(function, "func", function)
