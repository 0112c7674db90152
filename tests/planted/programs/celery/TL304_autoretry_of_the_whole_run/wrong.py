import asyncio
import itertools

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery

app = Celery("payments")
numbers = itertools.count(1)


def transfer(to: str, amount: int) -> str:
    """Transfer money."""
    number = next(numbers)
    print(f"transfer {number}: {amount} to {to}")
    return f"transfer {number} done"


async def run(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        cashier = AssistantAgent("cashier", client, tools=[transfer], reflect_on_tool_use=True)
        result = await cashier.run(task=text)
        return result.messages[-1].to_text()
    finally:
        await client.close()


@app.task(name="pay", bind=True, autoretry_for=(Exception,), default_retry_delay=0.2, max_retries=2)
def pay(self, text):
    return asyncio.run(run(text))
