import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from ag2 import Agent, MemoryStream
from ag2.config import OpenAIConfig
from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    message: str


@dataclass
class Session:
    stream: MemoryStream = field(default_factory=MemoryStream)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def timetable(city: str) -> str:
    """The trains to a city."""
    await asyncio.sleep(12)
    return f"{city}: every hour"


sessions: dict[str, Session] = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("railway", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[timetable])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat/{session_id}")
async def chat(session_id: str, body: Message):
    session = sessions.setdefault(session_id, Session())
    async with session.lock:
        try:
            async with asyncio.timeout(5):
                reply = await app.state.agent.ask(body.message, stream=session.stream)
        except TimeoutError:
            return {"reply": "That takes too long. What else can I do for you?"}
        return {"reply": reply.body}
