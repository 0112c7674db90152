import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0, timeout=20)


class ChatIn(BaseModel):
    message: str


async def run_agent(message: str) -> str:
    agent = AssistantAgent("helper", client, system_message="You help with recipes.")
    result = await agent.run(task=message)
    return result.messages[-1].content


@app.post("/chat")
def chat(body: ChatIn):
    return {"reply": asyncio.run(run_agent(body.message))}
