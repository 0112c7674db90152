import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

REVIEWS = """\
The kettle is loud but fast.
Arrived broken, refunded within a day.
Best lamp I ever had.
Two stars, the colour is off.""".splitlines()


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    classifier = AssistantAgent(
        "classifier",
        model_client=client,
        system_message="Answer with Positive or Negative and nothing else.",
    )
    results = await asyncio.gather(*[classifier.run(task=review) for review in REVIEWS])
    for review, result in zip(REVIEWS, results, strict=True):
        print(f"{review:40} {result.messages[-1].content}")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
