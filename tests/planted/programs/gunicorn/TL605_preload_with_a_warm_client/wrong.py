import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

model_client = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=10)


async def check_key():
    await model_client.create([UserMessage(content="Say hello.", source="system")])


asyncio.run(check_key())

app = FastAPI()


class Chat(BaseModel):
    message: str


@app.post("/chat")
async def chat(body: Chat):
    agent = AssistantAgent("assistant", model_client)
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].content}
