from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Pair(BaseModel):
    first: str
    second: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/compare")
async def compare(pair: Pair):
    judges = RoundRobinGroupChat([AssistantAgent("judge", app.state.client)], max_turns=1)
    first = await judges.run(task=f"Rate this: {pair.first}")
    judges.reset()
    second = await judges.run(task=f"Rate this: {pair.second}")
    return [first.messages[-1].to_text(), second.messages[-1].to_text()]
