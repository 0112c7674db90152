from contextlib import asynccontextmanager

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI
from openai import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncOpenAI(max_retries=0, timeout=4) as openai:
        client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=openai)
        app.state.agent = Agent(client, "You answer questions.", name="answers")
        # fail at start-up, not at the first request
        print("model says", (await app.state.agent.run("Are you there?")).text)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    return {"answer": (await app.state.agent.run(q)).text}
