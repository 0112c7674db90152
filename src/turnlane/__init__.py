"""Turnlane serves AutoGen agents: one owner per conversation, durable turns, one event loop a process."""

from __future__ import annotations

TYPE_CHECKING = False  # the constant of `typing`, without the 8 ms of importing it; mypy knows the name
if TYPE_CHECKING:
    from typing import Any

    from turnlane.runtime.agent import ToolError
    from turnlane.runtime.app import AgentSettings, App
    from turnlane.runtime.limits import ProviderLimits
    from turnlane.runtime.tool_calls import ToolCall, once, tool_call

__all__ = ["AgentSettings", "App", "ProviderLimits", "ToolCall", "ToolError", "__version__", "once", "tool_call"]

__version__ = "0.1.0"

_PLACES = {
    "App": "turnlane.runtime.app",
    "AgentSettings": "turnlane.runtime.app",
    "ProviderLimits": "turnlane.runtime.limits",
    "ToolCall": "turnlane.runtime.tool_calls",
    "ToolError": "turnlane.runtime.agent",
    "once": "turnlane.runtime.tool_calls",
    "tool_call": "turnlane.runtime.tool_calls",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that verbs which need none of this (`check`, `explain`) start fast.
    if name not in _PLACES:
        raise AttributeError(f"module 'turnlane' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
