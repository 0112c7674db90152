from contextlib import asynccontextmanager

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI
from openai import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncOpenAI() as openai:
        app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini", async_client=openai)
        yield


app = FastAPI(lifespan=lifespan)


def make_agent(instructions: str) -> Agent:
    return Agent(
        client=app.state.client,
        instructions=instructions,
        name="tagger",
    )


@app.post("/tag")
async def tag(text: str = Body(embed=True)):
    agent = make_agent("Answer with three tags.")
    response = await agent.run(text)
    return {"tags": response.text.split()}
