import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig

WORDS = [f"word{number}" for number in range(60)]


async def main() -> None:
    async with httpx2.AsyncClient(timeout=30) as http:
        lexicographer = Agent("lexicographer", "Define the word.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        results = await asyncio.gather(*(lexicographer.ask(word) for word in WORDS), return_exceptions=True)
    defined = sum(not isinstance(result, BaseException) for result in results)
    print(f"{defined} of {len(WORDS)} words defined")


if __name__ == "__main__":
    asyncio.run(main())
