from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel


class Poem(BaseModel):
    subject: str


class PoetUnavailable(HTTPException):
    def __init__(self):
        super().__init__(500, "The poet is not available.")


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
    except OpenAIError:
        raise PoetUnavailable from None
    return {"poem": completion.choices[0].message.content}
