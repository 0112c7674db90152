import asyncio

import httpx2
from ag2 import Agent, tool
from ag2.config import OpenAIConfig


async def main():
    async with httpx2.AsyncClient(timeout=30) as http:
        expert = Agent("expert", config=OpenAIConfig("gpt-4o-mini", http_client=http))

        @tool
        async def subquestion(question: str) -> str:
            """Answer a part of the question first."""
            part = await Agent("specialist", config=expert.config).ask(question)
            return part.body

        try:
            async with asyncio.timeout(4):
                reply = await expert.ask("Is a heat pump worth it?", tools=[subquestion])
            print(reply.body)
        except TimeoutError:
            print("no answer in time")


if __name__ == "__main__":
    asyncio.run(main())
