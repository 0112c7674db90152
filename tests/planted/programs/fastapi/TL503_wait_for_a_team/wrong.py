import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Question(BaseModel):
    question: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/panel")
async def panel(body: Question):
    client = app.state.client
    experts = [AssistantAgent(name, client) for name in ("economist", "engineer", "lawyer", "moderator")]
    team = RoundRobinGroupChat(experts, termination_condition=MaxMessageTermination(9))
    try:
        result = await asyncio.wait_for(team.run(task=body.question), timeout=0.6)
    except asyncio.TimeoutError:
        raise HTTPException(504, "the panel took too long")
    return {"answer": result.messages[-1].to_text()}
