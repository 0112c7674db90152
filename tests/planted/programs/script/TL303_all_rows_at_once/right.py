import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


class Pace:
    """Lets so many through in a second, as the contract with the provider says."""

    def __init__(self, per_second: float) -> None:
        self.interval = 1 / per_second
        self.next = 0.0

    async def wait(self) -> None:
        now = time.monotonic()
        self.next = max(self.next + self.interval, now)
        await asyncio.sleep(self.next - now)


async def describe(sku: int, client: OpenAIChatCompletionClient, pace: Pace, seats: asyncio.Semaphore) -> str:
    async with seats:
        await pace.wait()
        agent = AssistantAgent("copywriter", client, system_message="One sentence for the catalogue.")
        result = await agent.run(task=f"Describe article {sku}")
        return result.messages[-1].to_text()


async def main() -> None:
    started = time.monotonic()
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    pace, seats = Pace(per_second=15), asyncio.Semaphore(4)
    tasks = [describe(sku, client, pace, seats) for sku in range(1000, 1060)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    print(f"{len(results) - len(failed)} described, {len(failed)} failed, {time.monotonic() - started:.1f} s")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
