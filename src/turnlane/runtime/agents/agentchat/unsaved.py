"""State that the framework's own `save_state` leaves out, so that an agent which is built afresh forgets it.

Some classes save less than they remember: the agent inside a MessageFilterAgent, the agents and teams behind
AgentTool and TeamTool, the model context of a SocietyOfMindAgent and of a CodeExecutorAgent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from autogen_agentchat.agents import CodeExecutorAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_core.tools import BaseTool

from turnlane.runtime.agents.agentchat.wiring import Parts


class _Keeps(Protocol):
    async def save_state(self) -> Mapping[str, Any]: ...

    async def load_state(self, state: Mapping[str, Any]) -> None: ...


class Unsaved:
    """What of an agent's or team's memory has to be saved beside its own state."""

    def __init__(self, parts: Parts) -> None:
        self._parts = _by_name(parts)

    async def save(self) -> dict[str, Any]:
        return {name: dict(await part.save_state()) for name, part in self._parts.items()}

    async def load(self, states: Mapping[str, Any]) -> None:
        """A part that is new since the state was saved starts without memory; one that is gone is left out."""
        for name, part in self._parts.items():
            if name in states:
                await part.load_state(states[name])


def _by_name(parts: Parts) -> dict[str, _Keeps]:
    named: dict[str, _Keeps] = {}
    for name, part in _find(parts):
        number, key = 2, name
        while key in named:
            key, number = f"{name} ({number})", number + 1
        named[key] = part
    return named


def _find(parts: Parts) -> Iterator[tuple[str, _Keeps]]:
    for agent in parts.agents:
        if isinstance(agent, MessageFilterAgent):
            yield f"inside {agent.name}", agent._wrapped_agent
        elif isinstance(agent, SocietyOfMindAgent | CodeExecutorAgent):
            yield f"context of {agent.name}", agent.model_context
    for tool in parts.tools:
        runner = getattr(tool, "_task_runner", None)
        if isinstance(tool, BaseTool) and runner is not None:
            yield f"tool {tool.name}", runner
