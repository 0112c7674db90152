"""Classic AutoGen, module `autogen` 0.2 to 0.14: chats of two agents, group chats, replies, tools.

A chat is the run; the replies inside it are runs of the agents that give them, which keep nothing of their own:
two users may ask one agent for a reply if each brings a history of their own.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from turnlane.guard import finished_calls, histories, journals, meetings, objects, runs
from turnlane.guard.first_objects import first_of_each_class
from turnlane.guard.frameworks import classic_modes, classic_responses
from turnlane.guard.frameworks.classic_chats import chats_of, conversation_of, length
from turnlane.guard.frameworks.classic_tools import watch_functions
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import Plain, replace, watch_call, watch_construction, watch_entry
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack, is_users

_asked: WeakKeyDictionary[Any, Stack] = WeakKeyDictionary()
"""Who called `run` of an agent, which chats in a thread or task of its own where nobody's line can be seen."""


class Chat(Plain):
    """`initiate_chat`, and `send` and `receive` outside of one: two agents talk until one of them ends it."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        recipient = kwargs["recipient"] if "recipient" in kwargs else args[0]
        stack = _caller(stack, thing, recipient)
        if not self.entry.startswith("a_"):
            finished_calls.look(self.entry, f"`a_{self.entry}` is the form to await.", stack)
        clear = kwargs.get("clear_history", (*args, True, True)[1])
        run = self._enter(thing, recipient, clear, stack, kwargs)
        if run is not None:
            classic_responses.begun(run)
            _look_around(run, thing, recipient)
            if (group := getattr(recipient, "_groupchat", None)) is not None:
                histories.handed(run, group.messages, code="TL203", apart=True, cleared=bool(clear))
        return run

    def _enter(self, sender: Any, recipient: Any, clear: Any, stack: Stack, kwargs: dict[str, Any]) -> Run | None:
        conversation, role = conversation_of(sender, recipient)
        watched = objects.watch(conversation, role)
        if clear:
            watched.dirty = False
        text = kwargs.get("message")
        return runs.begin(
            conversation, role, self.entry, stack,
            leftover=0 if clear else length(sender, recipient), text=text if isinstance(text, str) else None,
        )  # fmt: skip


class Message(Chat):
    """`send` and `a_send`: continues what the two have on record."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        recipient = kwargs["recipient"] if "recipient" in kwargs else args[1]
        text = kwargs["message"] if "message" in kwargs else args[0]
        return self._enter(thing, recipient, False, stack, {"message": text})


class Turn:
    """Stands for one reply, since an agent that replies enters nothing that others could be in."""

    __slots__ = ("__weakref__",)


class Reply(Plain):
    """`generate_reply`: one answer of one agent, from the messages that it is given."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        parent, tool = runs.enclosing(), runs.current_tool.get()
        if (
            parent is not None
            and parent.notes.get("agent") == id(thing)
            and (tool is None or tool.run is not parent)
        ):
            return None  # a method of the user's own class that calls the inherited one
        turn, agent = Turn(), objects.watch(thing, "agent")
        watched = objects.watch(turn, "agent")
        watched.label, watched.made, watched.request = agent.name(thing), agent.made, agent.request
        run = runs.begin(turn, "agent", self.entry, stack, stateless=True)
        if run is not None:
            run.notes["agent"] = id(thing)
            _not_from_its_own_tool(run, {id(thing)})
            if run.parent is None:
                classic_modes.one_mode(run)
                histories.handed(run, args[0] if args else kwargs.get("messages"))
        return run


class Asked(Plain):
    """`run` and its like: begin a chat elsewhere, in a thread or a task of the framework."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        _asked[thing] = stack
        return None


class Reset(Plain):
    """A group chat is emptied."""

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        runs.forget_state(thing)
        return None


def install() -> None:
    """Wait for the package's modules."""
    when_imported("autogen.agentchat.conversable_agent", _agents)
    when_imported("autogen.agentchat.groupchat", _groups)
    when_imported("autogen.io.run_response", classic_responses.watch_readers)


def _agents(module: ModuleType) -> None:
    agent = module.ConversableAgent
    watch_construction(agent, "agent", after=first_of_each_class(lambda kind: _watch_class(kind, agent)))
    _watch_class(agent, agent)
    watch_functions(agent)
    replace(agent, "clear_history", _forgets_a_chat)
    for entry in ("run", "a_run", "run_iter", "a_run_iter"):
        watch_entry(agent, entry, Asked())


def _watch_class(kind: type, root: type) -> None:
    """Agents of people's own may bring their own entry points."""
    for owner in kind.__mro__:
        if issubclass(owner, root):
            for entry in ("initiate_chat", "a_initiate_chat"):
                watch_entry(owner, entry, Chat(entry))
            for entry in ("send", "a_send"):
                watch_entry(owner, entry, Message(entry))
            for entry in ("generate_reply", "a_generate_reply"):
                watch_entry(owner, entry, Reply(entry))


def _groups(module: ModuleType) -> None:
    group = module.GroupChat
    watch_construction(group, "chat")
    watch_call(group, "reset", Reset())


def _forgets_a_chat(original: Any) -> Any:
    @functools.wraps(original)
    def clear_history(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs.get("recipient") and not kwargs.get("nr_messages_to_preserve"):
            for watched in chats_of(self):
                watched.dirty, watched.last = False, None
        return original(self, *args, **kwargs)

    return clear_history


def _caller(stack: Stack, *agents: Any) -> Stack:
    """The stack, or that of `run` where the chat goes on in a thread or a task of the framework."""
    if any(is_users(code.co_filename) for code, _ in stack):
        return stack
    return next((_asked[agent] for agent in agents if agent in _asked), stack)


def _look_around(run: Run, sender: Any, recipient: Any) -> None:
    """What a chat shows beyond its own conversation."""
    run.notes["agents"] = {id(sender), id(recipient)}
    _not_from_its_own_tool(run, run.notes["agents"])
    _not_in_two_groups(run, recipient)
    if run.parent is None:
        classic_modes.one_mode(run)


def _not_from_its_own_tool(run: Run, entered: set[int]) -> None:
    """A tool that talks to the agent whose model has called it (TL402); its executor may talk to others."""
    if run.tool is None or run.tool.run is None:
        return
    for step in run.ancestors():
        callers = step.notes.get("agents", set()) - {run.tool.run.notes.get("agent")}
        if callers & entered and step.watched is not run.watched:
            journals.report(meetings.reentered(run, step))
            return


def _not_in_two_groups(run: Run, manager: Any) -> None:
    """A group chat by pattern writes its variables and its manager into its agents (TL201, TL204)."""
    group = getattr(manager, "_groupchat", None)
    for agent in getattr(group, "agents", ()):
        if getattr(agent, "_group_manager", None) is None:
            continue
        watched = objects.watch(agent, "agent")
        met = [
            other
            for other in watched.notes.get("groups", ())
            if other.running and other.watched is not run.watched
        ]
        watched.notes["groups"] = [*met, run]
        if met and not set(met) & set(run.ancestors()):
            journals.report(meetings.overlapped(run, met[0], watched, watched.name(agent)))
            return
