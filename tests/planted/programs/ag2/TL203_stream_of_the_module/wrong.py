"""A support chat that remembers what was said."""

from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent, MemoryStream
from ag2.config import OpenAIConfig
from fastapi import FastAPI
from pydantic import BaseModel

memory = MemoryStream()


class ChatRequest(BaseModel):
    message: str
    session_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("support", "You are support.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(request: ChatRequest):
    reply = await app.state.agent.ask(request.message, stream=memory)
    return {"session_id": request.session_id, "reply": reply.body}
