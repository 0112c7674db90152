import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

free_seats = {"2026-05-02": 40}
booking = asyncio.Lock()


async def reserve(date: str, seats: int) -> str:
    """Reserve seats for the show on a date."""
    async with booking:
        left = free_seats[date]
        if left < seats:
            return "sold out"
        await asyncio.sleep(0.05)  # ask the payment service
        free_seats[date] = left - seats
        return f"reserved, {free_seats[date]} seats left"


class Message(BaseModel):
    message: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/book")
async def book(body: Message):
    agent = AssistantAgent("box_office", app.state.client, tools=[reserve])
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].to_text(), "left": free_seats["2026-05-02"]}
