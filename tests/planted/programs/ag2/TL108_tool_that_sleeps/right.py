import asyncio
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent, tool
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI


@tool
async def forecast(town: str) -> str:
    """The weather of tomorrow."""
    await asyncio.sleep(0.6)  # the weather service
    return f"rain in {town}"


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("weatherman", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[forecast])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/weather")
async def weather(text: str = Body(embed=True)) -> dict:
    reply = await app.state.agent.ask(text)
    return {"reply": reply.body}
