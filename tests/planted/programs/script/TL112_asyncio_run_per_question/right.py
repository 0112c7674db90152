import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

QUESTIONS = ["What is a lane?", "What is a turn?", "What is an owner?", "What is an attempt?"]


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    tutor = AssistantAgent("tutor", model_client=client, system_message="Explain in one sentence.")
    for question in QUESTIONS:
        print("Q:", question)
        result = await tutor.run(task=question)
        print("A:", result.messages[-1].to_text())
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
