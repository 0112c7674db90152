import asyncio

from ag2 import Agent
from ag2.config import OpenAIConfig


async def main():
    agent = Agent("gardener", "You know about gardens.", config=OpenAIConfig("gpt-4o-mini"))
    for month in ("March", "June", "October"):
        advice = agent.ask(f"What should I do in {month}?")
        print(month, advice)


if __name__ == "__main__":
    asyncio.run(main())
