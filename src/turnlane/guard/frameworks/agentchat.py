"""autogen-agentchat 0.4 to 0.7: agents, teams, and what they work on."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from turnlane.guard import runs
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import Plain, watch_construction, watch_entry
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack


class AgentEntry(Plain):
    """`run`, `run_stream`, `on_messages`, `on_messages_stream` of an agent."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        context = getattr(thing, "_model_context", None)
        uses = [(context, "context")] if context is not None else []
        held = getattr(context, "_messages", ())
        return runs.begin(thing, "agent", self.entry, stack, uses=uses, leftover=len(held))  # type: ignore[arg-type]


def install() -> None:
    """Wait for the package's modules."""
    when_imported("autogen_agentchat.agents._base_chat_agent", _agents)


def _agents(module: ModuleType) -> None:
    base = module.BaseChatAgent
    watch_construction(base, "agent", after=lambda agent: _watch_class(type(agent)))
    _watch_class(base)


def _watch_class(kind: type) -> None:
    """Every class between an agent's own and the base may bring its own entry points."""
    for owner in kind.__mro__:
        if owner.__module__ != "builtins":
            for entry in ("run", "run_stream", "on_messages", "on_messages_stream"):
                if entry in vars(owner):
                    watch_entry(owner, entry, AgentEntry(entry))
