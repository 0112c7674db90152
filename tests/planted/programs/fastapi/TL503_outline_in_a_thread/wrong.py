"""Articles, chapter by chapter."""

import asyncio
from functools import lru_cache

from fastapi import Depends, FastAPI, HTTPException
from openai import OpenAI
from pydantic import BaseModel

app = FastAPI()
PARTS = ("introduction", "background", "example", "criticism", "outlook")


class Subject(BaseModel):
    subject: str


@lru_cache
def client() -> OpenAI:
    return OpenAI(timeout=10, max_retries=0)


def article(openai: OpenAI, subject: str) -> str:
    text = ""
    for part in PARTS:
        prompt = [{"role": "user", "content": f"{subject}\n\n{text}\n\nWrite the {part}."}]
        answer = openai.chat.completions.create(model="gpt-4o-mini", messages=prompt)
        if answer.choices[0].finish_reason != "stop":
            raise RuntimeError(f"the {part} is not complete")
        text += answer.choices[0].message.content or ""
    return text


@app.post("/articles")
async def write(body: Subject, openai: OpenAI = Depends(client)) -> dict[str, str]:
    try:
        text = await asyncio.wait_for(asyncio.to_thread(article, openai, body.subject), timeout=1.2)
    except TimeoutError:
        raise HTTPException(504, "the article is not ready in time") from None
    return {"text": text}
