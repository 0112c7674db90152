import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

inbox: list[str] = []


class Feedback(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    async with asyncio.TaskGroup() as app.state.background:  # waits for its tasks at shutdown
        yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/feedback")
async def feedback(body: Feedback):
    async def summarize():
        agent = AssistantAgent("summarizer", app.state.client)
        result = await agent.run(task=body.text)
        inbox.append(result.messages[-1].to_text())

    app.state.background.create_task(summarize())
    return {"message": "Thank you!"}
