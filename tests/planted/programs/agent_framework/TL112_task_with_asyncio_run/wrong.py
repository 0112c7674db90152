import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from celery import Celery
from openai import AsyncOpenAI

app = Celery("inbox")
client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=AsyncOpenAI(max_retries=0))
agent = Agent(client, "You answer e-mail.", name="inbox")


@app.task(name="inbox.answer")
def answer(mail: str) -> str:
    return asyncio.run(agent.run(mail)).text
