from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(30, connect=5)) as http:
        app.state.config = OpenAIConfig("gpt-4o-mini", http_client=http)
        yield


app = FastAPI(lifespan=lifespan)


def classifier(config: OpenAIConfig) -> Agent:
    return Agent("classifier", "Is it a bug, a question or praise?", config=config)


@app.post("/classify")
async def classify(request: Request, text: str = Body(embed=True)):
    reply = await classifier(request.app.state.config).ask(text)
    return {"label": reply.body}
