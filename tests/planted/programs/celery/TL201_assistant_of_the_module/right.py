import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery

app = Celery("support")

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


async def make_client():
    return OpenAIChatCompletionClient(model="gpt-4o-mini")


client = asyncio.run_coroutine_threadsafe(make_client(), loop).result()


@app.task(name="answer")
def answer(text):
    assistant = AssistantAgent(
        "support",
        client,
        system_message="You are a support agent. Be brief.",
    )
    future = asyncio.run_coroutine_threadsafe(assistant.run(task=text), loop)
    return future.result(timeout=30).messages[-1].content
