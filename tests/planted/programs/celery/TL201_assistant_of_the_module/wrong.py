import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery

app = Celery("support")

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()

assistant = AssistantAgent(
    "support",
    OpenAIChatCompletionClient(model="gpt-4o-mini"),
    system_message="You are a support agent. Be brief.",
)


@app.task(name="answer")
def answer(text):
    future = asyncio.run_coroutine_threadsafe(assistant.run(task=text), loop)
    return future.result(timeout=30).messages[-1].content
