"""Translate product names, all languages side by side on one loop."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

PRODUCTS = ["desk lamp", "kettle", "rucksack", "headphones", "umbrella"]


class Translator:
    def __init__(self, language: str, model_client: OpenAIChatCompletionClient) -> None:
        self.language = language
        self.model_client = model_client
        self.lines: list[str] = []

    async def translate(self) -> None:
        for product in PRODUCTS:
            agent = AssistantAgent(f"translator_{self.language}", self.model_client)
            reply = await agent.run(task=f"{product} in {self.language}")
            self.lines.append(reply.messages[-1].to_text())


async def main() -> None:
    model_client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    workers = [Translator(language, model_client) for language in ("german", "french", "dutch", "danish")]
    await asyncio.gather(*(worker.translate() for worker in workers))
    await model_client.close()
    for worker in workers:
        print(worker.language, len(worker.lines), "of", len(PRODUCTS))


if __name__ == "__main__":
    asyncio.run(main())
