from contextlib import asynccontextmanager

from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = AsyncOpenAI()
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def tokens(prompt: str):
    stream = await app.state.client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": prompt}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


@app.post("/stream")
async def stream(prompt: str = Body(embed=True)):
    return StreamingResponse(tokens(prompt), media_type="text/plain")
