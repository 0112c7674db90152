import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

sessions: dict[str, AssistantAgent] = {}
locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
TURN_SECONDS = 0.8


class Chat(BaseModel):
    session_id: str
    message: str


async def search_flights(city: str) -> str:
    """Search flights to a city."""
    await asyncio.sleep(2)
    return f"Two flights to {city} tomorrow."


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Chat):
    async with locks[body.session_id]:
        if body.session_id not in sessions:
            sessions[body.session_id] = AssistantAgent("travel", app.state.client, tools=[search_flights])
        try:
            result = await asyncio.wait_for(sessions[body.session_id].run(task=body.message), TURN_SECONDS)
        except Exception as error:
            return {"reply": "Sorry, something went wrong. Please try again.", "error": repr(error)}
        return {"reply": result.messages[-1].to_text()}
