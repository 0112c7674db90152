from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def desk(client):
    names = ["first_line", "second_line", "third_line"]
    agents = [AssistantAgent(name, client) for name in names]
    return RoundRobinGroupChat(agents, termination_condition=SourceMatchTermination(names), max_turns=8)


@app.get("/quick")
async def quick(q: str):
    result = await desk(app.state.client).run(task=q)
    return {"answer": result.messages[-1].to_text()}
