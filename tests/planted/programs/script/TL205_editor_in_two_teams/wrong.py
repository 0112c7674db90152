import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")

    sports = AssistantAgent("sports", client, system_message="You report on sports.")
    politics = AssistantAgent("politics", client, system_message="You report on politics.")
    editor = AssistantAgent("editor", client, system_message="You edit reports.")

    sports_desk = RoundRobinGroupChat([sports, editor], max_turns=2)
    politics_desk = RoundRobinGroupChat([politics, editor], max_turns=2)

    first = await sports_desk.run(task="Report: the harbour club won the cup.")
    second = await politics_desk.run(task="Report: the harbour tax was raised.")
    print(first.messages[-1].to_text())
    print(second.messages[-1].to_text())
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
