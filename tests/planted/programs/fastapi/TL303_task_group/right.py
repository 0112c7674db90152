import asyncio
import logging
from contextlib import asynccontextmanager

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

log = logging.getLogger("tags")


class Titles(BaseModel):
    titles: list[str]


class Pace:
    """Starts at most `rate` a second."""

    def __init__(self, rate: float):
        self.gap = 1 / rate
        self.next = 0.0

    async def turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self.next = max(self.next + self.gap, now)
        await asyncio.sleep(self.next - now)


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.openai = AsyncOpenAI()
    app.state.pace = Pace(3)
    yield
    await app.state.openai.close()


app = FastAPI(lifespan=lifespan)


async def tag(title: str) -> str | None:
    await app.state.pace.turn()
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
