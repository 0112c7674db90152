from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI

STOCK = {"A-1": 4, "A-2": 0, "A-3": 17}


def stock(article: str) -> str:
    """How many pieces of an article there are."""
    if article not in STOCK:
        return f"There is no article {article}."
    return str(STOCK[article])


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("warehouse", config=OpenAIConfig("gpt-4o-mini", http_client=http), tools=[stock])
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/stock")
async def ask(text: str = Body(embed=True)):
    return {"text": (await app.state.agent.ask(text)).body}
