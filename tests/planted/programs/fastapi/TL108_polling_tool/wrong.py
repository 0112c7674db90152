import time
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

shop = {}


@asynccontextmanager
async def lifespan(app):
    shop["model"] = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=30)
    yield
    await shop.pop("model").close()


app = FastAPI(lifespan=lifespan)


class Message(BaseModel):
    message: str


async def check_stock(item: str) -> str:
    """Ask the warehouse how many pieces of an item are left."""
    for attempt in range(3):
        time.sleep(0.3)  # the warehouse takes a moment to count
    return f"{item}: 12 pieces"


@app.post("/chat")
async def chat(body: Message):
    clerk = AssistantAgent("clerk", shop["model"], tools=[check_stock], reflect_on_tool_use=True)
    result = await clerk.run(task=body.message)
    return {"answer": result.messages[-1].content}
