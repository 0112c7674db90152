import asyncio
import logging
from contextlib import asynccontextmanager

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

log = logging.getLogger("tags")


class Titles(BaseModel):
    titles: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.openai = AsyncOpenAI()
    yield
    await app.state.openai.close()


app = FastAPI(lifespan=lifespan)


async def tag(title: str) -> str | None:
    try:
        completion = await app.state.openai.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": f"One tag for: {title}"}]
        )
    except Exception:
        log.exception("no tag for %s", title)
        return None
    return completion.choices[0].message.content


@app.post("/tags")
async def tags(body: Titles):
    async with asyncio.TaskGroup() as group:
        tasks = {title: group.create_task(tag(title)) for title in body.titles}
    return {title: task.result() for title, task in tasks.items()}
