import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger(__name__)


class Order(BaseModel):
    message: str


@asynccontextmanager
async def lifespan(app):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=0)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def run_with_retry(agent: AssistantAgent, task: str, attempts: int = 5):
    for attempt in range(1, attempts + 1):
        try:
            return await agent.run(task=task)
        except Exception as exc:
            log.warning("attempt %d failed: %s", attempt, exc)
            if attempt == attempts:
                raise HTTPException(503, "the assistant is not available") from exc
            await asyncio.sleep(0.05 * attempt)


@app.post("/payments")
async def payments(body: Order):
    clerk = AssistantAgent("clerk", app.state.client, system_message="You pay invoices.")
    result = await run_with_retry(clerk, body.message)
    return {"reply": result.messages[-1].content}
