import asyncio

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig


async def main():
    async with httpx2.AsyncClient() as http:
        config = OpenAIConfig("gpt-4o-mini", http_client=http)
        agent = Agent("gardener", "You know about gardens.", config=config)
        for month in ("March", "June", "October"):
            advice = await agent.ask(f"What should I do in {month}?")
            print(month, advice.body)


if __name__ == "__main__":
    asyncio.run(main())
