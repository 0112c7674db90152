import asyncio
import json
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

POLICIES = {
    "P-1": "Goods can be returned within 30 days.",
    "P-2": "Shipping is free from 50 euros.",
}


def read_policy(policy_id: str) -> str:
    """Read one of the shop's policies, as JSON with `text` or `error`."""
    if policy_id not in POLICIES:
        return json.dumps({"error": "unknown_policy", "known": sorted(POLICIES)})
    return json.dumps({"text": POLICIES[policy_id]})


class Question(BaseModel):
    message: str


class Client(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason not in ("stop", "function_calls"):
            raise RuntimeError(f"incomplete answer: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Client(model="gpt-4o-mini", timeout=10, max_retries=1)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/policies/ask")
async def ask(question: Question):
    agent = AssistantAgent("policies", app.state.client, tools=[read_policy], reflect_on_tool_use=True)
    try:
        result = await asyncio.wait_for(agent.run(task=question.message), 25)
    except Exception as error:
        logging.exception("policies failed")
        raise HTTPException(502, f"policies: {type(error).__name__}") from error
    return {"answer": result.messages[-1].to_text()}
