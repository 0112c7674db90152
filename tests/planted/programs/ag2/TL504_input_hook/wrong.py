from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent, Context
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI


async def approve(expense: str, context: Context) -> str:
    """Ask a human to approve an expense."""
    return str(await context.input(f"Approve {expense}?"))


def on_the_terminal(event) -> str:
    return input(f"{event.content} [y/n] ")


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent(
            "expenses",
            config=OpenAIConfig("gpt-4o-mini", http_client=http),
            tools=[approve],
            hitl_hook=on_the_terminal,
        )
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/approve")
async def endpoint(text: str = Body(embed=True)):
    return {"text": (await app.state.agent.ask(text)).body}
