from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

api = app = FastAPI()
clients = {}


async def summarize(text):
    if "model" not in clients:
        clients["model"] = OpenAIChatCompletionClient(model="gpt-4o-mini")
    summarizer = AssistantAgent("summarizer", model_client=clients["model"], system_message="Summarize in one sentence.")
    response = await summarizer.on_messages([TextMessage(content=text, source="user")], CancellationToken())
    return response.chat_message.content


@api.get("/summary")
async def summary(text: str):
    return {"summary": await summarize(text)}
