import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


class Estimator:
    """An agent that breaks a house into parts and sums them up."""

    def __init__(self) -> None:
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        self.agent = AssistantAgent("estimator", self.client, tools=[self.estimate], max_tool_iterations=3)

    async def estimate(self, part: str) -> str:
        """Estimate the cost of one part of a house."""
        builder = AssistantAgent("builder", self.client, system_message="You know what parts of a house cost.")
        answer = await builder.run(task=f"What is the cost of the {part}?")
        return answer.messages[-1].to_text()

    async def house(self) -> str:
        result = await self.agent.run(task="Estimate the house in the Kerkstraat.")
        return result.messages[-1].to_text()


async def main() -> None:
    estimator = Estimator()
    try:
        print(await estimator.house())
    finally:
        await estimator.client.close()


if __name__ == "__main__":
    asyncio.run(main())
