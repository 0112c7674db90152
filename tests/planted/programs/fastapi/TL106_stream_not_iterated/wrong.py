from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Research(BaseModel):
    topic: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.llm = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.llm.close()


app = FastAPI(lifespan=lifespan)


def team(llm):
    researcher = AssistantAgent("researcher", llm, system_message="You collect facts.")
    editor = AssistantAgent("editor", llm, system_message="You shorten what you read.")
    return RoundRobinGroupChat([researcher, editor], termination_condition=MaxMessageTermination(3))


@app.post("/research")
async def research(body: Research, request: Request):
    team(request.app.state.llm).run_stream(task=f"Write about {body.topic}")
    return {"status": "done", "topic": body.topic}
