from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

POLICIES = {
    "P-1": "Goods can be returned within 30 days.",
    "P-2": "Shipping is free from 50 euros.",
}


def read_policy(policy_id: str) -> str:
    """Read one of the shop's policies."""
    return POLICIES[policy_id]


class Question(BaseModel):
    message: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/policies/ask")
async def ask(question: Question):
    agent = AssistantAgent("policies", app.state.client, tools=[read_policy])
    result = await agent.run(task=question.message)
    return {"answer": result.messages[-1].to_text()}
