"""What was said before the input must not end a team."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from autogen_agentchat.base import Team, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, StopMessage


class BlindTo(TerminationCondition):
    """A condition that is not shown certain messages.

    A team can be given history only as part of its task, and its condition looks at the task: the APPROVE of an
    earlier answer, or more history than it allows messages, would end the team before anybody speaks.
    """

    def __init__(self, inner: TerminationCondition, hidden: Collection[str]) -> None:
        self._inner = inner
        self._hidden = hidden

    @property
    def terminated(self) -> bool:
        return self._inner.terminated

    async def __call__(self, messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> StopMessage | None:
        if not self._hidden:
            return await self._inner(messages)
        return await self._inner([message for message in messages if message.id not in self._hidden])

    async def reset(self) -> None:
        await self._inner.reset()


def hide_from_conditions(teams: Sequence[Team], hidden: Collection[str]) -> None:
    """Keep messages, by their ids, from the conditions of teams that have not run; the ids may come later."""
    for team in teams:
        holder: Any = team
        if isinstance(condition := getattr(holder, "_termination_condition", None), TerminationCondition):
            holder._termination_condition = BlindTo(condition, hidden)
