import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import FastAPI
from pydantic import BaseModel

transcripts: dict[str, list[str]] = {}
lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


class Line(BaseModel):
    text: str
    room: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.config = OpenAIConfig("gpt-4o-mini", http_client=http)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/say")
async def say(line: Line):
    agent = Agent("companion", "Continue the conversation.", config=app.state.config)
    async with lanes[line.room]:
        said = [*transcripts.get(line.room, []), f"User: {line.text}"]
        reply = await agent.ask("\n".join(said))
        transcripts[line.room] = [*said, f"You: {reply.body}"]
    return {"text": reply.body}
