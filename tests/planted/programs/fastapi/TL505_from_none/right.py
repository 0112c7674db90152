import logging
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel

logger = logging.getLogger("poet")


class Poem(BaseModel):
    subject: str


class PoetUnavailable(HTTPException):
    def __init__(self, cause: Exception):
        super().__init__(503, f"The poet is not available ({type(cause).__name__}).")


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncOpenAI(max_retries=0) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/poem")
async def poem(body: Poem):
    try:
        completion = await app.state.client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"A poem about {body.subject}"}]
        )
    except OpenAIError as error:
        logger.exception("no poem")
        raise PoetUnavailable(error) from error
    return {"poem": completion.choices[0].message.content}
