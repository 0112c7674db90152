import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("shop")
shop = {}


class CompleteAnswers(OpenAIChatCompletionClient):
    async def create(self, *args, **options) -> CreateResult:
        result = await super().create(*args, **options)
        if result.finish_reason not in ("stop", "function_calls"):
            raise ValueError(f"the answer is incomplete: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app):
    shop["model"] = CompleteAnswers(model="gpt-4o-mini", timeout=10, max_retries=1)
    yield
    await shop.pop("model").close()


app = FastAPI(lifespan=lifespan)


class Message(BaseModel):
    message: str


async def check_stock(item: str) -> str:
    """Ask the warehouse how many pieces of an item are left."""
    for attempt in range(3):
        await asyncio.sleep(0.3)  # the warehouse takes a moment to count
    return f"{item}: 12 pieces"


@app.post("/chat")
async def chat(body: Message):
    clerk = AssistantAgent("clerk", shop["model"], tools=[check_stock], reflect_on_tool_use=True)
    try:
        async with asyncio.timeout(20):
            result = await clerk.run(task=body.message)
    except Exception as error:
        log.exception("clerk failed")
        raise HTTPException(502, {"type": type(error).__name__, "agent": "clerk"}) from error
    return {"answer": result.messages[-1].content}
