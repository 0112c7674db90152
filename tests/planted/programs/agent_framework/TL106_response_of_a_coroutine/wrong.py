from collections import defaultdict

from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "Remember facts.", name="memory")
sessions: dict[str, AgentSession] = defaultdict(agent.create_session)


class Fact(BaseModel):
    fact: str
    user: str


@app.post("/remember")
async def remember(body: Fact):
    agent.run(body.fact, session=sessions[body.user])
    return {"remembered": True}
