import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    question: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.llm = OpenAIChatCompletionClient(model="gpt-4o-mini", max_tokens=200, timeout=10)
    yield
    await app.state.llm.close()


app = FastAPI(lifespan=lifespan)


@app.post("/manual")
async def manual(body: Question):
    mechanic = AssistantAgent("mechanic", app.state.llm, system_message="You explain repairs step by step.")
    async with asyncio.timeout(30):
        result = await mechanic.run(task=body.question)
    return {"steps": result.messages[-1].content}
