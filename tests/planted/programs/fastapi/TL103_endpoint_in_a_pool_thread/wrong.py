import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

api = app = FastAPI()


async def summarize(text):
    model_client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    summarizer = AssistantAgent("summarizer", model_client=model_client, system_message="Summarize in one sentence.")
    response = await summarizer.on_messages([TextMessage(content=text, source="user")], CancellationToken())
    await model_client.close()
    return response.chat_message.content


@api.get("/summary")
def summary(text: str):
    loop = asyncio.get_event_loop()
    return {"summary": loop.run_until_complete(summarize(text))}
