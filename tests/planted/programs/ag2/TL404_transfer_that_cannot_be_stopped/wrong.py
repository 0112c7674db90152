import asyncio
import time
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

SECONDS = 4.0
ledger: list[dict] = []


class Order(BaseModel):
    order: str


def transfer(account: str, euros: int) -> str:
    """Transfer money to an account."""
    time.sleep(8)  # the bank takes its time
    ledger.append({"account": account, "euros": euros})
    return f"{euros} euros are on their way"


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent(
            "banker", "You make transfers.", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[transfer]
        )
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/transfers")
async def order(body: Order, request: Request):
    try:
        async with asyncio.timeout(SECONDS):
            reply = await request.app.state.agent.ask(body.order)
    except TimeoutError:
        raise HTTPException(504, "cancelled, nothing was transferred") from None
    return {"reply": reply.body, "transfers": len(ledger)}
