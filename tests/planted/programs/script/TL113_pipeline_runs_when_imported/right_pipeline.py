import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

VERSION = "2.4"


async def write() -> str:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    writer = AssistantAgent("writer", client)
    result = await writer.run(task=f"Write release notes for version {VERSION}")
    await client.close()
    return result.messages[-1].to_text()


def notes() -> str:
    return asyncio.run(write())
