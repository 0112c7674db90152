import logging

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException
from openai import AsyncOpenAI

log = logging.getLogger("uvicorn.error")

client = OpenAIChatCompletionClient("gpt-4o-mini", async_client=AsyncOpenAI(max_retries=2, timeout=10))
agent = Agent(client, "You answer.", name="answerer")
app = FastAPI()


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    try:
        return {"a": (await agent.run(q)).text}
    except Exception as error:
        log.exception("no answer")
        raise HTTPException(502, type(error).__name__) from error
