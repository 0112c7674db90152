import asyncio
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def warm_up(agent: AssistantAgent) -> None:
    """Tell the agent who it is talking to before the first question."""
    await agent.run(task="The user is called Robin and lives in Ghent.")


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    guide = AssistantAgent("guide", client, system_message="You are a tourist guide.")
    await warm_up(guide)
    answer = await guide.run(task="What should I see at home this weekend?")
    print(answer.messages[-1].to_text(), "from", Path(__file__).name)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
