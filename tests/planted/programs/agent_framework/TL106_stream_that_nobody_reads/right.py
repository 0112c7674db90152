import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


async def main():
    agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You tell stories.", name="narrator")
    print("A story about a ferry:")
    stream = agent.run("Tell me a story about a ferry.", stream=True)
    async for update in stream:
        print(update.text, end="", flush=True)
    print()


if __name__ == "__main__":
    asyncio.run(main())
