import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

log = logging.getLogger("gunicorn.error")


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
    except Exception as error:
        request_id = request.headers.get("x-request-id")
        log.exception("%s failed, request %s", request.url.path, request_id)
        return JSONResponse({"error": type(error).__name__, "request_id": request_id}, status_code=500)


@app.post("/ask")
async def ask(body: Question):
    agent = AssistantAgent("oracle", app.state.client)
    result = await agent.run(task=body.question)
    return {"answer": result.messages[-1].content}
