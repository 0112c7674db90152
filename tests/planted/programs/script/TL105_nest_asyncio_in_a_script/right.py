import asyncio
import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
log = logging.getLogger("digest")


async def ask_agent(prompt: str, client: OpenAIChatCompletionClient) -> str:
    agent = AssistantAgent("digest", model_client=client)
    result = await agent.run(task=prompt)
    return result.messages[-1].to_text()


async def digest(topics: list[str]) -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    for topic in topics:
        log.info("%s: %s", topic, await ask_agent(f"What is new about {topic}?", client))
    await client.close()


if __name__ == "__main__":
    asyncio.run(digest(["batteries", "tramways"]))
