from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model_client = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=10)
    await app.state.model_client.create([UserMessage(content="Say hello.", source="system")])
    yield
    await app.state.model_client.close()


app = FastAPI(lifespan=lifespan)


class Chat(BaseModel):
    message: str


@app.post("/chat")
async def chat(body: Chat):
    agent = AssistantAgent("assistant", app.state.model_client)
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].content}
