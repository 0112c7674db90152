import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("book")


class Book(BaseModel):
    title: str
    chapters: list[str]


class Paced(OpenAIChatCompletionClient):
    """At most two calls at once and four a second, and no answer that was cut."""

    def __init__(self, **options):
        super().__init__(**options)
        self.slots = asyncio.Semaphore(2)
        self.next_start = 0.0

    async def create(self, *args, **kwargs) -> CreateResult:
        loop = asyncio.get_running_loop()
        async with self.slots:
            self.next_start = max(self.next_start + 0.27, loop.time())
            await asyncio.sleep(self.next_start - loop.time())
            result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"cut off: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Paced(model="gpt-4o-mini", timeout=10, max_retries=2)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def summarize(client, title, chapter):
    agent = AssistantAgent("summarizer", client, system_message="Summarize the chapter in two sentences.")
    result = await agent.run(task=f"{title}: {chapter}")
    return result.messages[-1].content


@app.post("/summaries")
async def summaries(book: Book):
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            tasks = [group.create_task(summarize(app.state.client, book.title, c)) for c in book.chapters]
    except* Exception as errors:
        log.exception("summaries of %s failed", book.title)
        raise HTTPException(503, f"summarizer: {type(errors.exceptions[0]).__name__}") from errors
    return {"title": book.title, "summaries": [task.result() for task in tasks]}
