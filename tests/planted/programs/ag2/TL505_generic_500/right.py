import logging
from contextlib import asynccontextmanager

import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx2.AsyncClient(timeout=30) as http:
        app.state.config = OpenAIConfig("gpt-4o-mini", http_client=http, max_retries=0)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/ask")
async def ask(q: str = Body(embed=True)):
    try:
        reply = await Agent("oracle", config=app.state.config).ask(q)
        return {"a": reply.body}
    except Exception as error:
        logging.getLogger("uvicorn.error").exception("no answer")
        return JSONResponse({"error": type(error).__name__}, status_code=502)
