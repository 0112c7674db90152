import os
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model_client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key=os.environ["OPENAI_API_KEY"])
    yield
    await app.state.model_client.close()


app = FastAPI(title="Customer support", lifespan=lifespan)


def make_support(model_client) -> AssistantAgent:
    return AssistantAgent(
        name="support",
        model_client=model_client,
        system_message="You are a friendly support agent of an online shop.",
    )


class ChatRequest(BaseModel):
    message: str


@app.post("/chat")
async def chat(body: ChatRequest, request: Request):
    result = await make_support(request.app.state.model_client).run(task=body.message)
    return {"reply": result.messages[-1].content}
