import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel


class Question(BaseModel):
    question: str


class Analyst(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"the answer was cut: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Analyst(model="gpt-4o-mini", max_retries=2, timeout=8)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def ask(client, question: str) -> str:
    agent = AssistantAgent("analyst", client, system_message="You analyse markets.")
    async with asyncio.timeout(25):
        result = await agent.run(task=question)
    return result.messages[-1].content


@app.post("/v1/ask")
async def ask_endpoint(body: Question, request: Request):
    try:
        return {"answer": await ask(request.app.state.client, body.question)}
    except Exception as error:
        logging.exception("analyst failed")
        raise HTTPException(502, type(error).__name__) from error
