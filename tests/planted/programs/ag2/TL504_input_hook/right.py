from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI


async def approve(expense: str) -> str:
    """Ask a human to approve an expense."""
    return f"The manager has been asked about {expense}; the answer comes as the next message."


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent(
            "expenses",
            config=OpenAIConfig("gpt-4o-mini", http_client=http),
            tools=[approve],
        )
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/approve")
async def endpoint(text: str = Body(embed=True)):
    return {"text": (await app.state.agent.ask(text)).body}
