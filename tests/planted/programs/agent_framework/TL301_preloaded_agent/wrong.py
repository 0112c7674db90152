import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI
from openai import AsyncOpenAI

agent = Agent(
    OpenAIChatCompletionClient("gpt-4o-mini", async_client=AsyncOpenAI(max_retries=0, timeout=4)),
    "You answer questions.",
    name="answers",
)
app = FastAPI()


async def check() -> None:
    print("model says", (await agent.run("Are you there?")).text)


# fail at start-up, not at the first request
asyncio.run(check())


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    return {"answer": (await agent.run(q)).text}
