"""Turnlane serves AutoGen agents: one owner per conversation, durable turns, one event loop a process."""

from __future__ import annotations

TYPE_CHECKING = False  # the constant of `typing`, without the 8 ms of importing it; mypy knows the name
if TYPE_CHECKING:
    from typing import Any

    from turnlane.runtime.agent import ToolError
    from turnlane.runtime.app import AgentSettings, App

__all__ = ["AgentSettings", "App", "ToolError", "__version__"]

__version__ = "0.1.0"

_PLACES = {
    "App": "turnlane.runtime.app",
    "AgentSettings": "turnlane.runtime.app",
    "ToolError": "turnlane.runtime.agent",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that verbs which need none of this (`check`, `explain`) start fast.
    if name not in _PLACES:
        raise AttributeError(f"module 'turnlane' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
