"""The adapter for autogen-agentchat 0.7."""

from turnlane.runtime.agents.agentchat.adapter import AgentchatAdapter

__all__ = ["AgentchatAdapter"]
