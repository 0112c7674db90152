import asyncio
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI

loop = None


@asynccontextmanager
async def lifespan(app: FastAPI):
    global loop
    loop = asyncio.get_running_loop()
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.agent = Agent("sage", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        yield


app = FastAPI(lifespan=lifespan)


def ask_sync(q: str) -> str:
    future = asyncio.run_coroutine_threadsafe(app.state.agent.ask(q), loop)
    return future.result().body


@app.post("/ask")
def ask(q: str = Body(embed=True)):
    return {"a": ask_sync(q)}
