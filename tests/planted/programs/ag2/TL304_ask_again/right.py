from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent, tool
from ag2.config import OpenAIConfig
from fastapi import FastAPI
from pydantic import BaseModel

orders: list[str] = []


@tool
async def place_order(item: str) -> str:
    """Order an item."""
    orders.append(item)
    return f"order {len(orders)}: {item}"


class Order(BaseModel):
    text: str
    conversation_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        config = OpenAIConfig("gpt-4o-mini", http_client=http, max_retries=3)
        app.state.agent = Agent("shop", config=config, tools=[place_order])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def order(body: Order):
    reply = await app.state.agent.ask(body.text)
    return {"reply": reply.body}
