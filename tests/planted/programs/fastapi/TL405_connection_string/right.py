import asyncio
import json
import logging
import os
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

DSN = os.getenv("ORDERS_DSN", "postgresql://shop:tr0ub4dor@10.0.0.7:5432/orders")


def connect(dsn: str):
    raise ConnectionError(f"could not connect to {dsn}: connection refused")


async def order_status(order_id: str) -> str:
    """Look up the status of an order, as JSON with `status` or `error`."""
    try:
        connection = connect(DSN)
        status = connection.execute("select status from orders where id = $1", order_id)
    except OSError as error:
        incident = uuid.uuid4().hex[:8]
        logging.error("orders are unavailable, incident %s: %s", incident, type(error).__name__)
        return json.dumps({"error": "orders_unavailable", "incident": incident})
    return json.dumps({"status": status})


class Message(BaseModel):
    message: str


class Model(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason not in ("stop", "function_calls"):
            raise RuntimeError(f"incomplete answer: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Model(model="gpt-4o-mini", timeout=10, max_retries=1)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/chat")
async def chat(body: Message):
    agent = AssistantAgent("orders", app.state.client, tools=[order_status], reflect_on_tool_use=True)
    try:
        result = await asyncio.wait_for(agent.run(task=body.message), 25)
    except Exception as error:
        logging.exception("orders failed")
        raise HTTPException(502, f"orders: {type(error).__name__}") from error
    return {"reply": result.messages[-1].to_text()}
