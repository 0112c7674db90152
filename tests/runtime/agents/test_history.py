"""History of a team: what was said before is read by the agents, and ends nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TerminationCondition
from autogen_agentchat.conditions import (
    MaxMessageTermination,
    SourceMatchTermination,
    TextMentionTermination,
    TextMessageTermination,
)
from autogen_agentchat.teams import RoundRobinGroupChat

from turnlane.testing.turns import user_message

pytestmark = pytest.mark.anyio

HISTORY = [user_message("write about the sea"), user_message("The sea. APPROVE", role="assistant")]

CONDITIONS: dict[str, Callable[[], TerminationCondition]] = {
    "text": lambda: TextMentionTermination("APPROVE"),
    "count": lambda: MaxMessageTermination(3),
    "source": lambda: SourceMatchTermination(["assistant"]),
    "any text of": lambda: TextMessageTermination("assistant"),
    "one of two": lambda: TextMentionTermination("APPROVE") | MaxMessageTermination(2),
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
async def test_history_does_not_end_a_team(talk, client, provider, condition):
    provider.use(lambda request: f"seen: {'The sea.' in str(request.messages)} APPROVE")
    team = lambda: RoundRobinGroupChat(  # noqa: E731
        [AssistantAgent("assistant", client())], termination_condition=condition() | MaxMessageTermination(9)
    )
    conversation = talk(team)
    first = await conversation.say("and the land?", items=HISTORY)
    assert first.said[0] == ("assistant", "seen: True APPROVE")
    second = await conversation.say("and the sky?")
    assert second.said


async def test_what_is_said_now_still_ends_a_team(talk, client, provider):
    team = lambda: RoundRobinGroupChat(  # noqa: E731
        [AssistantAgent("ann", client()), AssistantAgent("bob", client())],
        termination_condition=TextMentionTermination("APPROVE"),
    )

    provider.use(lambda request: "APPROVE" if "hm" in str(request.messages) else "hm")
    ended = await talk(team).say("go", items=[user_message("APPROVE")])
    assert ended.said == [("ann", "hm"), ("bob", "APPROVE")]


async def test_history_does_not_end_a_team_inside_a_team(talk, client, provider):
    provider.use(lambda request: "a new line. APPROVE")
    team = lambda: RoundRobinGroupChat(  # noqa: E731
        [
            RoundRobinGroupChat(
                [AssistantAgent("poet", client())],
                name="poets",
                termination_condition=TextMentionTermination("APPROVE"),
            )
        ],
        max_turns=1,
    )
    ended = await talk(team).say("another", items=HISTORY)
    assert ("poet", "a new line. APPROVE") in ended.said
