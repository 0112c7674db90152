import logging
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("poems")


class Poem(BaseModel):
    about: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=None) as http:
        app.state.poet = Agent("poet", "You write poems.", config=OpenAIConfig("gpt-4o-mini", http_client=http))
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/poems")
async def poem(body: Poem):
    try:
        reply = await app.state.poet.ask(body.about)
    except Exception as error:
        log.exception("the poet failed")
        raise HTTPException(502, f"no poem: {type(error).__name__}") from error
    if not reply.body:
        raise HTTPException(502, "an empty poem")
    return {"poem": reply.body}
