import asyncio
import logging
from collections import defaultdict
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

ORDERS = {"1001": "shipped", "1002": "packed"}
log = logging.getLogger("uvicorn.error")


async def order_status(order_id: str) -> str:
    """Return the status of an order."""
    return ORDERS.get(order_id, "unknown order")


class CheckedClient(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason not in {"stop", "function_calls"}:
            raise RuntimeError(f"the model stopped early: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = CheckedClient(model="gpt-4o-mini", timeout=10, max_retries=1)
    app.state.sessions = {}
    app.state.locks = defaultdict(asyncio.Lock)
    yield
    await app.state.client.close()


def get_agent(request: Request) -> AssistantAgent:
    return AssistantAgent("shop", request.app.state.client, tools=[order_status], reflect_on_tool_use=True)


class ChatMessage(BaseModel):
    message: str
    session_id: str


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: ChatMessage, request: Request, agent: AssistantAgent = Depends(get_agent)):
    sessions = request.app.state.sessions
    async with request.app.state.locks[body.session_id]:
        if body.session_id in sessions:
            await agent.load_state(sessions[body.session_id])
        try:
            async with asyncio.timeout(25):
                result = await agent.run(task=body.message)
        except Exception as error:
            log.exception("shop agent failed for %s", body.session_id)
            raise HTTPException(502, {"error": type(error).__name__, "agent": "shop"}) from error
        sessions[body.session_id] = await agent.save_state()
    return {"session_id": body.session_id, "reply": result.messages[-1].to_text()}
