import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


class Interpreter:
    def __init__(self):
        self.client = OpenAIChatCompletionClient("gpt-4o-mini")
        self.agent = Agent(self.client, "You are an interpreter.", name="interpreter", tools=[self.translate])

    async def translate(self, text: str) -> str:
        """Translate a text into Dutch."""
        response = await Agent(self.client, "You translate.", name="translator").run(f"Translate into Dutch: {text}")
        return response.text


async def main():
    interpreter = Interpreter()
    try:
        async with asyncio.timeout(4):
            print((await interpreter.agent.run("How do I greet people?")).text)
    except TimeoutError:
        print("no answer in time")


if __name__ == "__main__":
    asyncio.run(main())
