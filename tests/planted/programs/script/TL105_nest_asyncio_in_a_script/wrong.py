import asyncio
import logging

import nest_asyncio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

nest_asyncio.apply()

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
log = logging.getLogger("digest")


def ask_agent(prompt: str) -> str:
    async def _ask() -> str:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        agent = AssistantAgent("digest", model_client=client)
        result = await agent.run(task=prompt)
        await client.close()
        return result.messages[-1].to_text()

    return asyncio.run(_ask())


async def digest(topics: list[str]) -> None:
    for topic in topics:
        log.info("%s: %s", topic, ask_agent(f"What is new about {topic}?"))


asyncio.run(digest(["batteries", "tramways"]))
