"""autogen-agentchat 0.4 to 0.7: agents and what they work on. Teams and tools are in files beside this one."""

from __future__ import annotations

from collections import deque
from types import ModuleType
from typing import Any, Final

from turnlane.guard import answers, objects, runs
from turnlane.guard.first_objects import first_of_each_class
from turnlane.guard.frameworks import agentchat_teams
from turnlane.guard.imports import when_imported
from turnlane.guard.objects import Role
from turnlane.guard.patching import Plain, watch_construction, watch_entry
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack
from turnlane.guard.states import watch_state

ENTRIES: Final = ("run", "run_stream", "on_messages", "on_messages_stream")
RESETS: Final = ("on_reset", "load_state")


class AgentEntry(Plain):
    """`run`, `run_stream`, `on_messages`, `on_messages_stream` of an agent."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        outer = agentchat_teams.run_of_team(thing) if runs.current.get() is None else None
        run = runs.begin(
            thing,
            "agent",
            self.entry,
            stack,
            uses=parts(thing),
            leftover=held(thing),
            text=asked(args, kwargs),
            outer=outer,
        )
        if run is not None:
            run.notes["answers"] = True
            run.notes["name"] = getattr(thing, "name", None)
        return run

    def item(self, run: Run, item: Any) -> None:
        kind = type(item).__name__
        run.notes["complete"] = kind in ("TaskResult", "Response") or (
            hasattr(item, "to_model_message") and getattr(item, "source", None) == run.notes.get("name")
        )

    def result(self, run: Run, result: Any) -> None:
        answers.answered(run, answer_of(result))


def install() -> None:
    """Wait for the package's modules."""
    when_imported("autogen_agentchat.agents._base_chat_agent", _agents)
    agentchat_teams.install()


def _agents(module: ModuleType) -> None:
    base = module.BaseChatAgent
    watch_construction(base, "agent", after=first_of_each_class(_watch_class))
    _watch_class(base)


def _watch_class(kind: type) -> None:
    """Every class between an agent's own and the base may bring its own entry points."""
    for owner in kind.__mro__:
        if owner.__module__ == "builtins" or owner.__module__ == "autogen_agentchat.base._chat_agent":
            continue
        for entry in ENTRIES:
            if entry in vars(owner):
                watch_entry(owner, entry, AgentEntry(entry))
        for name in RESETS:
            watch_state(owner, name, after=forget)
        watch_state(owner, "save_state")


def parts(agent: Any) -> list[tuple[object, Role]]:
    """What an agent works on that could be another's too: its model context and its memories."""
    context = getattr(agent, "_model_context", None)
    found: list[tuple[object, Role]] = [(context, "context")] if context is not None else []
    memories = getattr(agent, "_memory", None)
    return found + [(memory, "memory") for memory in memories or () if not isinstance(memory, str)]


def forget(agent: Any) -> None:
    """The agent's state was reset or replaced."""
    runs.forget_state(agent)
    watched = objects.known(agent)
    if watched is not None:
        watched.notes.pop("held", None)
    context = getattr(agent, "_model_context", None)
    if context is not None:
        runs.forget_state(context)


def held(agent: Any) -> int:
    """How much an agent has kept since it was new, reset or loaded: messages of its context, or entries of the
    lists of an agent that keeps its history itself."""
    count = _entries(agent)
    watched = objects.watch(agent, "agent")
    if watched.last is None and not watched.active:
        watched.notes["held"] = count
    _note_open_calls(agent, watched)
    return max(0, count - int(watched.notes.get("held", 0)))


def _note_open_calls(agent: Any, watched: objects.Watched) -> None:
    """How many tool calls wait for their results: a provider refuses a history that ends so."""
    messages = _messages(agent)
    if messages is not None:
        last: Any = messages[-1] if messages else None
        calls = last.content if getattr(last, "type", "") == "AssistantMessage" else ()
        watched.notes["open_calls"] = len(calls) if isinstance(calls, list) else 0


def _messages(agent: Any) -> Any:
    return getattr(getattr(agent, "_model_context", None), "_messages", None)


def _entries(agent: Any) -> int:
    messages = _messages(agent)
    if messages is not None:
        return len(messages)
    return sum(len(value) for value in vars(agent).values() if isinstance(value, list | dict | deque))


def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """What a run is asked, from the arguments of an entry point."""
    task = kwargs.get("task", args[0] if args else kwargs.get("messages"))
    return text_of(task)


def text_of(task: Any) -> str | None:
    """The text of a task: a string, a message, or several messages."""
    if isinstance(task, str):
        return task[:1000]
    if isinstance(task, list | tuple):
        found = [text for text in (text_of(part) for part in task) if text]
        return "\n".join(found)[:1000] or None
    content = getattr(task, "content", None)
    return content[:1000] if isinstance(content, str) else None


def answer_of(result: Any) -> str:
    """The text that a run gives to its caller, from a `TaskResult` or a `Response`."""
    message = getattr(result, "chat_message", None)
    if message is None:
        messages = getattr(result, "messages", None)
        message = messages[-1] if messages else None
    content = getattr(message, "content", "")
    return content if isinstance(content, str) else str(content)
