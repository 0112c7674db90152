from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Question(BaseModel):
    question: str


class Expert:
    def __init__(self, http):
        config = OpenAIConfig("gpt-4o-mini", http_client=http)
        self.agent = Agent("expert", "Answer questions about cheese.", config=config)

    async def answer(self, question: str) -> str:
        reply = await self.agent.ask(question)
        return reply.body


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.expert = Expert(http)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/ask")
async def ask(question: Question, request: Request):
    return {"answer": await request.app.state.expert.answer(question.question)}
