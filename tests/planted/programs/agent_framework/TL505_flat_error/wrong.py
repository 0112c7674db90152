import os

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException
from openai import AsyncOpenAI

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
client = OpenAIChatCompletionClient(MODEL, async_client=AsyncOpenAI(max_retries=0))
agent = Agent(client, "You answer.", name="answerer")
app = FastAPI()


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    try:
        response = await agent.run(q)
    except Exception:
        raise HTTPException(500, "Agent error") from None
    return {"answer": response.text}
