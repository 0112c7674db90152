import asyncio
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

FILES = sys.argv[1:] or ["billing.md", "shipping.md", "returns.md", "privacy.md"]


async def review(name: str, client: OpenAIChatCompletionClient, seats: asyncio.Semaphore) -> str:
    async with seats:
        reviewer = AssistantAgent("reviewer", model_client=client)
        result = await reviewer.run(task=f"Review the document {name}")
        return result.messages[-1].to_text()


async def main() -> None:
    seats = asyncio.Semaphore(4)
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        texts = await asyncio.gather(*(review(name, client, seats) for name in FILES))
    finally:
        await client.close()
    for name, text in zip(FILES, texts, strict=True):
        print(f"{name}: {text}")


if __name__ == "__main__":
    asyncio.run(main())
