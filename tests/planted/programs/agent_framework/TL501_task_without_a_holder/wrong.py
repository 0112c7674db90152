import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, Response

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You write digests.", name="digest")


@app.post("/digest", status_code=202)
async def digest(text: str = Body(embed=True)):
    asyncio.create_task(agent.run(f"Write a digest: {text}"))
    return Response(status_code=202)
