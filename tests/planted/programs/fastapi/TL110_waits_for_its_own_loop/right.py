import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Review(BaseModel):
    review: str


class Rater:
    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.loop = loop
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini")

    def rate(self, review: str) -> str:
        agent = AssistantAgent("rater", self.client, system_message="Give one to five stars.")
        future = asyncio.run_coroutine_threadsafe(agent.run(task=review), self.loop)
        return future.result(timeout=30).messages[-1].content


app = FastAPI()


@app.on_event("startup")
async def startup():
    app.state.rater = Rater(asyncio.get_running_loop())


@app.on_event("shutdown")
async def shutdown():
    await app.state.rater.client.close()


@app.post("/rate")
def rate(body: Review):  # in a thread of the pool
    return {"stars": app.state.rater.rate(body.review)}
