import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger(__name__)


class Order(BaseModel):
    message: str


class WholeAnswers(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason not in ("stop", "function_calls"):
            raise RuntimeError(f"the answer was cut: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app):
    app.state.client = WholeAnswers(model="gpt-4o", max_retries=3, timeout=8)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/payments")
async def payments(body: Order):
    clerk = AssistantAgent("clerk", app.state.client, system_message="You pay invoices.")
    try:
        async with asyncio.timeout(20):
            result = await clerk.run(task=body.message)
    except Exception as exc:
        log.exception("clerk failed")
        raise HTTPException(503, f"clerk: {type(exc).__name__}") from exc
    return {"reply": result.messages[-1].content}
