import os
from contextlib import asynccontextmanager
from typing import Annotated

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    client = OpenAIChatCompletionClient(
        model=os.getenv("MODEL", "gpt-4o-mini"),
        api_key=os.environ["OPENAI_API_KEY"],
    )
    yield {"model_client": client}
    await client.close()


app = FastAPI(lifespan=lifespan)


class ChatRequest(BaseModel):
    message: str


def agent(request: Request) -> AssistantAgent:
    return AssistantAgent("nutritionist", request.state.model_client, system_message="You plan meals.")


@app.post("/chat")
async def chat(body: ChatRequest, agent: Annotated[AssistantAgent, Depends(agent)]):
    if not body.message.strip():
        raise HTTPException(status_code=422, detail="empty message")
    reply = await agent.on_messages([TextMessage(content=body.message, source="user")], CancellationToken())
    return {"reply": reply.chat_message.content}
