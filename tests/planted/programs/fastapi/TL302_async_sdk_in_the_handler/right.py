import os
from contextlib import asynccontextmanager

import openai
from fastapi import FastAPI
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with openai.AsyncOpenAI(api_key=os.environ["OPENAI_API_KEY"]) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


class Text(BaseModel):
    text: str


@app.post("/spell")
async def spell(body: Text):
    completion = await app.state.client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "Correct the spelling."},
            {"role": "user", "content": body.text},
        ],
    )
    return {"text": completion.choices[0].message.content}
