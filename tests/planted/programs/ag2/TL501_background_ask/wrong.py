import asyncio
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI

summaries: list[str] = []


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("logger", "Summarise the event.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        yield


app = FastAPI(lifespan=lifespan)


async def summarise(text: str) -> None:
    reply = await app.state.agent.ask(text)
    summaries.append(reply.body or "")


@app.post("/events")
async def event(text: str = Body(embed=True)):
    asyncio.ensure_future(summarise(text))
    return {"ok": True, "summaries": len(summaries)}
