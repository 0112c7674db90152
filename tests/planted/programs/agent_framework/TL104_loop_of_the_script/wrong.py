import asyncio
import sys

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


async def summarize(text):
    agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "Summarize the text.", name="summarizer")
    async for update in agent.run(text, stream=True):
        sys.stdout.write(update.text)
    sys.stdout.write("\n")


if __name__ == "__main__":
    text = " ".join(sys.argv[1:]) or "The quick brown fox jumps over the lazy dog."
    loop = asyncio.get_event_loop()
    loop.run_until_complete(summarize(text))
    loop.close()
