import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()


class ChatRequest(BaseModel):
    message: str


def build_agent() -> AssistantAgent:
    model_client = OpenAIChatCompletionClient(
        model=os.getenv("MODEL", "gpt-4o-mini"),
        api_key=os.environ["OPENAI_API_KEY"],
    )
    return AssistantAgent("nutritionist", model_client, system_message="You plan meals.")


@app.post("/chat")
async def chat(request: ChatRequest):
    if not request.message.strip():
        raise HTTPException(status_code=422, detail="empty message")
    agent = build_agent()
    reply = await agent.on_messages([TextMessage(content=request.message, source="user")], CancellationToken())
    return {"reply": reply.chat_message.content}
