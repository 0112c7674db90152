import logging
import os

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException
from openai import AsyncOpenAI

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
client = OpenAIChatCompletionClient(MODEL, async_client=AsyncOpenAI(max_retries=0))
agent = Agent(client, "You answer.", name="answerer")
app = FastAPI()
logger = logging.getLogger(__name__)


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    try:
        response = await agent.run(q)
    except Exception as error:
        logger.exception("the agent failed")
        raise HTTPException(500, f"Agent error: {type(error).__name__}") from error
    return {"answer": response.text}
