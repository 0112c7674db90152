"""Translate product names, one thread for each language."""

import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

model_client = OpenAIChatCompletionClient(model="gpt-4o-mini")
PRODUCTS = ["desk lamp", "kettle", "rucksack", "headphones", "umbrella"]


class Translator(threading.Thread):
    def __init__(self, language: str) -> None:
        super().__init__(name=language)
        self.language = language
        self.lines: list[str] = []

    async def translate(self) -> None:
        for product in PRODUCTS:
            agent = AssistantAgent(f"translator_{self.language}", model_client)
            reply = await agent.run(task=f"{product} in {self.language}")
            self.lines.append(reply.messages[-1].to_text())

    def run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self.translate())
        finally:
            loop.close()


workers = [Translator(language) for language in ("german", "french", "dutch", "danish")]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    print(worker.language, len(worker.lines), "of", len(PRODUCTS))
