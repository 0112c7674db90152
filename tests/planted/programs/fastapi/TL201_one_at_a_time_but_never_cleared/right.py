import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Mood(BaseModel):
    mood: str


class MusicExpert:
    """One agent, one request at a time, and nothing left of the one before."""

    def __init__(self, client):
        self.lock = asyncio.Lock()
        self.agent = AssistantAgent("dj", client, system_message="Suggest three songs.")

    async def suggest(self, mood: str) -> str:
        async with self.lock:
            await self.agent.on_reset(CancellationToken())
            result = await self.agent.run(task=mood)
        return result.messages[-1].to_text()


@asynccontextmanager
async def lifespan(app: FastAPI):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    app.state.expert = MusicExpert(client)
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/suggest")
async def suggest(body: Mood):
    return {"songs": await app.state.expert.suggest(body.mood)}
