import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig

WORDS = [f"word{number}" for number in range(60)]


async def define(agent: Agent, word: str, seats: asyncio.Semaphore):
    async with seats:
        reply = await agent.ask(word)
        await asyncio.sleep(0.2)  # the provider lets 15 a second through
        return reply


async def main() -> None:
    seats = asyncio.Semaphore(3)
    async with httpx2.AsyncClient(timeout=30) as http:
        lexicographer = Agent("lexicographer", "Define the word.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        results = await asyncio.gather(*(define(lexicographer, word, seats) for word in WORDS), return_exceptions=True)
    defined = sum(not isinstance(result, BaseException) for result in results)
    print(f"{defined} of {len(WORDS)} words defined")


if __name__ == "__main__":
    asyncio.run(main())
