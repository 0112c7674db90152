"""AG2 from 1.0 on, module `ag2`, and the same as a preview in `autogen.beta`: agents, turns, streams and tools.

An agent keeps nothing and may serve everybody; the stream that a turn runs on is the history of one conversation.
The framework itself lets the turns of one stream wait for each other.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard import answers, journals, meetings, objects, requests, runs, stacks, tools
from turnlane.guard.imports import when_imported
from turnlane.guard.objects import Watched
from turnlane.guard.patching import (
    Plain,
    begin_run,
    end_run,
    hear_result,
    outcome_of,
    replace,
    watch_construction,
    watch_entry,
)
from turnlane.guard.runs import Outcome, Run, ToolCall
from turnlane.guard.stacks import Stack, has_users

PACKAGES = ("ag2", "autogen.beta")


class Ask(Plain):
    """`Agent.ask` and `Agent.resume`."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        stream = kwargs.get("stream")
        if self.entry == "resume" and stream is not None:
            runs.forget_state(stream)  # the caller brings the whole history
        return enter(thing, self.entry, stream, stack, args)

    def result(self, run: Run, result: Any) -> None:
        answers.answered(run, str(getattr(result, "body", None) or ""))


class Continue(Ask):
    """`AgentReply.ask`: the next turn on the stream of the one before."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        agent = getattr(thing, "_AgentReply__agent", None)
        if agent is None:
            return None
        return enter(agent, self.entry, thing.context.stream, stack, args)


def enter(agent: Any, entry: str, stream: Any, stack: Stack, asked: tuple[Any, ...] = ()) -> Run | None:
    """A turn of `agent` on `stream` begins; None for a stream of its own."""
    if stream is not None:
        _poisoned(agent, stream, stack)
        objects.watch(stream, "session").notes["serialised"] = True
    run = runs.begin(
        agent,
        "agent",
        entry,
        stack,
        uses=[(stream, "session")] if stream is not None else [],
        leftover=held(stream),
        text=next((part for part in asked if isinstance(part, str)), None),
        stateless=True,
    )
    if run is not None:
        run.notes["answers"] = True
    return run


def events_of(stream: Any) -> list[Any] | None:
    """What is in a stream's memory; None for a storage elsewhere."""
    storage = getattr(getattr(stream, "history", None), "storage", None)
    data = getattr(storage, "_MemoryStorage__data", None)
    return list(data.get(stream.id, ())) if isinstance(data, dict) else None


def held(stream: Any) -> int:
    """How many events a stream holds; 1 for a storage elsewhere."""
    if stream is None:
        return 0
    events = events_of(stream)
    return 1 if events is None else len(events)


def _poisoned(agent: Any, stream: Any, stack: Stack) -> None:
    """A stream whose last turn stopped between a tool's call and its result: providers refuse it (TL207)."""
    watched = objects.watch(stream, "session")
    last = watched.last
    if last is None or last.outcome not in ("failed", "cancelled", "abandoned"):
        return
    module = sys.modules.get(f"{type(agent).__module__.rpartition('.')[0]}.history")
    unanswered = getattr(module, "unanswered_tool_calls", None)
    events = events_of(stream)
    if unanswered is None or not events or not unanswered(events):
        return
    run = Run(watched, watched.name(stream), "ask", stack)
    run.request = requests.current.get()
    journals.report(_dangling(run, last, watched))


def _dangling(run: Run, last: Run, watched: Watched) -> Any:
    why = "failed" if last.outcome == "failed" else "was cancelled"
    message = (
        f"The stream {run.label} is used again after a turn that {why} in the middle of a tool call: it holds a "
        "call without a result, which providers refuse for good."
    )
    return meetings.sighting_of_two("TL207", message, run, last, watched, first=f"the turn that {why}")


def install() -> None:
    """Wait for the package's modules."""
    for package in PACKAGES:
        when_imported(f"{package}.agent", _agents)
        when_imported(f"{package}.stream", _streams)
        when_imported(f"{package}.tools.final.function_tool", _tools)


def _agents(module: ModuleType) -> None:
    watch_construction(module.Agent, "agent")
    for entry in ("ask", "resume"):
        watch_entry(module.Agent, entry, Ask(entry))
    watch_entry(module.AgentReply, "ask", Continue("ask"))
    scope = getattr(module, "AgentRun", None)
    if scope is not None:
        for name in ("run", "_make_run"):
            replace(module.Agent, name, _notes_who_asked)
        replace(scope, "__aenter__", _enters)
        replace(scope, "start", _starts)
        replace(scope, "result", _finishes)
        replace(scope, "__aexit__", _leaves)


def _streams(module: ModuleType) -> None:
    watch_construction(module.MemoryStream, "session")


def _tools(module: ModuleType) -> None:
    replace(module.FunctionTool, "__call__", _called)


_askers: WeakKeyDictionary[Any, Stack] = WeakKeyDictionary()
_scopes: WeakKeyDictionary[Any, Run] = WeakKeyDictionary()


def _notes_who_asked(original: Any) -> Any:
    """`agent.run()` returns a scope: what happens in it is shown where that was made."""

    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        scope = original(self, *args, **kwargs)
        with contextlib.suppress(TypeError):  # of a kind that nothing can be noted of
            _askers.setdefault(scope, stacks.capture())
        return scope

    return run


def _enters(original: Any) -> Any:
    @functools.wraps(original)
    async def __aenter__(self: Any) -> Any:
        run = begin_run(_Scope(), self, (), {}, _askers.get(self) or stacks.capture())
        token = runs.set_current(run) if run is not None else None
        try:
            entered = await original(self)
        except BaseException as error:
            if run is not None:
                end_run(run, outcome_of(error), error)
            raise
        finally:
            if token is not None:
                runs.unset_current(token)
        if run is not None:
            _scopes[self] = run
        return entered

    return __aenter__


class _Scope(Plain):
    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        agent = getattr(thing, "_AgentRun__agent", None)
        return None if agent is None else enter(agent, "run", thing.stream, stack)


def _starts(original: Any) -> Any:
    """The task that it makes is part of the run."""

    @functools.wraps(original)
    def start(self: Any) -> Any:
        token = runs.set_current(_scopes.get(self) or runs.current.get())
        try:
            return original(self)
        finally:
            runs.unset_current(token)

    return start


def _finishes(original: Any) -> Any:
    @functools.wraps(original)
    async def result(self: Any) -> Any:
        run = _scopes.get(self)
        if run is None:
            return await original(self)
        token = runs.set_current(run)
        try:
            reply = await original(self)
        except BaseException as error:
            end_run(run, outcome_of(error), error)
            raise
        finally:
            runs.unset_current(token)
        hear_result(Ask("run"), run, reply)
        return reply

    return result


def _leaves(original: Any) -> Any:
    @functools.wraps(original)
    async def __aexit__(self: Any, kind: Any, error: Any, trace: Any) -> Any:
        outcome: Outcome = outcome_of(error) if error is not None else "abandoned" if _goes_on(self) else "ended"
        try:
            return await original(self, kind, error, trace)
        finally:
            run = _scopes.pop(self, None)
            if run is not None:
                end_run(run, outcome, error)

    return __aexit__


def _goes_on(scope: Any) -> bool:
    """Whether the turn of a scope is under way and the model has not said its last word."""
    task = getattr(scope, "_AgentRun__task", None)
    if task is None or task.done():
        return False
    events = reversed(events_of(scope.stream) or ())
    last = next((event for event in events if type(event).__name__ in ("ModelRequest", "ModelResponse")), None)
    return bool(getattr(last, "tool_calls", True))


def _about(call: ToolCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with contextlib.suppress(Exception):  # what the model wrote may be no JSON
        call.notes["arguments"] = tuple(args[0].serialized_arguments.values())


def _called(original: Any) -> Any:
    """A tool's exception does not leave it: it comes back as an event."""

    @functools.wraps(original)
    async def __call__(self: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
        function = getattr(getattr(self, "model", None), "call", None)
        call = tools.begin(str(getattr(self, "name", "")), function, (event,), {}, _about)
        token = runs.current_tool.set(call)
        steps = call.notes.get("steps")
        try:
            work = original(self, event, *args, **kwargs)
            result = await (work if steps is None else steps(work))
        except BaseException as error:
            tools.end(call, error)
            raise
        finally:
            runs.unset_tool(token)
        failure = getattr(result, "error", None)
        raised = isinstance(failure, BaseException) and has_users(stacks.of_exception(failure))
        said = "" if failure is not None else _text_of(getattr(result, "result", None))
        tools.end(call, failure if raised else None, said)
        return result

    return __call__


def _text_of(result: Any) -> str:
    """What a tool returned, as the model is told it."""
    parts = getattr(result, "parts", ())
    return "\n".join(str(getattr(part, "content", None) or getattr(part, "data", "")) for part in parts)
