import asyncio

import httpx2
from ag2 import Agent, MemoryStream
from ag2.config import OpenAIConfig
from ag2.events import ModelResponse


async def opening_hours(city: str) -> str:
    """Opening hours of the shop in a city."""
    await asyncio.sleep(1)
    return f"{city}: 9 to 17"


async def main() -> None:
    async with httpx2.AsyncClient(timeout=30) as http:
        clerk = Agent("clerk", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[opening_hours])
        talk = MemoryStream()
        async with clerk.run("When are you open?", stream=talk) as run:
            with run.stream.join() as events:
                run.start()
                async for event in events:
                    if isinstance(event, ModelResponse):
                        print("one moment, please")
                        break
        reply = await clerk.ask("And on Sunday?", stream=talk)
        print(reply.body)


if __name__ == "__main__":
    asyncio.run(main())
