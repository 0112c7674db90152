"""A team that asks a human in the middle of its run. The turn ends asking; the next turn is the answer.

Talk to it:  turnlane chat examples/approval.py --practice
Serve it:    turnlane serve examples/approval.py --practice, then examples/client.py in another terminal
"""

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


def editor() -> RoundRobinGroupChat:
    writer = AssistantAgent(
        "writer",
        OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message="You are the writer. Write two sentences.",
    )
    human = UserProxyAgent("human")  # never reads stdin here: its question ends the turn
    return RoundRobinGroupChat(
        [writer, human],
        termination_condition=TextMentionTermination("APPROVE", sources=["human"]) | MaxMessageTermination(10),
    )
