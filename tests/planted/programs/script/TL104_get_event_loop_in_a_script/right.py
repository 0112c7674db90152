import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.ui import Console
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main():
    model_client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    writer = AssistantAgent("writer", model_client, system_message="You write haikus.")
    critic = AssistantAgent("critic", model_client, system_message="You criticise haikus.")
    team = RoundRobinGroupChat([writer, critic], termination_condition=MaxMessageTermination(4))
    await Console(team.run_stream(task="Write a haiku about queues."))
    await model_client.close()


if __name__ == "__main__":
    asyncio.run(main())
