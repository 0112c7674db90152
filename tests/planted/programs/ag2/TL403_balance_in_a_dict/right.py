import asyncio
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI

BALANCES = {"family": 100, "club": 40}
BOOKS = asyncio.Lock()


async def bank(account: str, balance: int) -> None:
    await asyncio.sleep(0.03)


async def spend(account: str, euros: int) -> str:
    """Spend money from an account."""
    async with BOOKS:
        balance = BALANCES[account] - euros
        await bank(account, balance)
        BALANCES[account] = balance
    return f"{balance} euros"


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("treasurer", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[spend])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/spend")
async def endpoint(text: str = Body(embed=True)):
    reply = await app.state.agent.ask(text)
    return {"reply": reply.body, "balances": BALANCES}
