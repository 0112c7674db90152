import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from celery import Celery
from openai import AsyncOpenAI

app = Celery("inbox")


async def run(mail: str) -> str:
    async with AsyncOpenAI(max_retries=0) as openai:
        client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=openai)
        response = await Agent(client, "You answer e-mail.", name="inbox").run(mail)
    return response.text


@app.task(name="inbox.answer")
def answer(mail: str) -> str:
    return asyncio.run(run(mail))
