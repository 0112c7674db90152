import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Book(BaseModel):
    title: str
    chapters: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def summarize(client, title, chapter):
    agent = AssistantAgent("summarizer", client, system_message="Summarize the chapter in two sentences.")
    result = await agent.run(task=f"{title}: {chapter}")
    return result.messages[-1].content


@app.post("/summaries")
async def summaries(book: Book):
    tasks = [summarize(app.state.client, book.title, chapter) for chapter in book.chapters]
    return {"title": book.title, "summaries": await asyncio.gather(*tasks)}
