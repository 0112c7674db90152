"""Answers the questions of a file, one after the other."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

QUESTIONS = ["What is the stock of bolts?", "What is the stock of nuts?", "When do you open?"]


async def stock_level(item: str) -> str:
    """How many pieces of an item are in stock."""
    await asyncio.sleep(5)  # the warehouse is slow today
    return f"{item}: 1200"


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("warehouse", client, tools=[stock_level])
    for question in QUESTIONS:
        try:
            async with asyncio.timeout(1):
                result = await agent.run(task=question)
            print(question, "->", result.messages[-1].to_text())
        except Exception as error:
            print(question, "failed:", type(error).__name__, error)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
