from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
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
    return RoundRobinGroupChat([AssistantAgent(name, client) for name in names], max_turns=8)


@app.get("/quick")
async def quick(q: str):
    answer = None
    async for message in desk(app.state.client).run_stream(task=q):
        if message.source != "user":
            answer = message.to_text()
            break
    return {"answer": answer}
