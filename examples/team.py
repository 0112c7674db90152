"""A writer and a critic who talk until the critic approves.

Talk to it:  turnlane chat examples/team.py --practice
Serve it:    turnlane serve examples/team.py --practice, then examples/client.py in another terminal
"""

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


def newsroom() -> RoundRobinGroupChat:
    """A fresh team for each turn; what it said before comes back as its saved state."""
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    writer = AssistantAgent(
        "writer", client, system_message="You are the writer. Write two sentences.", model_client_stream=True
    )
    critic = AssistantAgent(
        "critic",
        client,
        system_message="You are the critic. Say APPROVE when it is good.",
        model_client_stream=True,
    )
    return RoundRobinGroupChat(
        [writer, critic],
        termination_condition=TextMentionTermination("APPROVE", sources=["critic"]) | MaxMessageTermination(8),
    )
