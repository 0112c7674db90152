from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel


class Question(BaseModel):
    question: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=0)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def errors(request: Request, call_next):
    try:
        return await call_next(request)
    except Exception:
        return JSONResponse({"detail": "Internal Server Error"}, status_code=500)


@app.post("/ask")
async def ask(body: Question):
    agent = AssistantAgent("oracle", app.state.client)
    result = await agent.run(task=body.question)
    return {"answer": result.messages[-1].content}
