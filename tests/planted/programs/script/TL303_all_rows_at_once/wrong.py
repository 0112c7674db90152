import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def describe(sku: int, client: OpenAIChatCompletionClient) -> str:
    agent = AssistantAgent("copywriter", client, system_message="One sentence for the catalogue.")
    result = await agent.run(task=f"Describe article {sku}")
    return result.messages[-1].to_text()


async def main() -> None:
    started = time.monotonic()
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    tasks = [describe(sku, client) for sku in range(1000, 1060)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    print(f"{len(results) - len(failed)} described, {len(failed)} failed, {time.monotonic() - started:.1f} s")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
