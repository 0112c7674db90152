import asyncio
import functools
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel


def retry(times: int, delay: float = 0.1):
    def decorate(function):
        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            for attempt in range(times):
                try:
                    return await function(*args, **kwargs)
                except Exception:
                    if attempt + 1 == times:
                        raise
                    await asyncio.sleep(delay)

        return wrapper

    return decorate


class Question(BaseModel):
    question: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=3)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@retry(times=3)
async def ask(client, question: str) -> str:
    agent = AssistantAgent("analyst", client, system_message="You analyse markets.")
    result = await agent.run(task=question)
    return result.messages[-1].content


@app.post("/v1/ask")
async def ask_endpoint(body: Question, request: Request):
    try:
        return {"answer": await ask(request.app.state.client, body.question)}
    except Exception as error:
        logging.exception("analyst failed")
        raise HTTPException(502, type(error).__name__) from error
