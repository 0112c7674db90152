import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
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
    token = CancellationToken()
    run = asyncio.create_task(team.run(task=body.question, cancellation_token=token))
    done, _ = await asyncio.wait({run}, timeout=0.6)
    if not done:
        token.cancel()
        await asyncio.wait({run}, timeout=2)
        run.cancel()
        raise HTTPException(504, "the panel took too long")
    return {"answer": run.result().messages[-1].to_text()}
