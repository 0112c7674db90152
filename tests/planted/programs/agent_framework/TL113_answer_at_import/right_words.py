from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


async def find() -> list[str]:
    agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "Five words about the sea.", name="words")
    return (await agent.run("now")).text.split()
