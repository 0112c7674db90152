import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

logger = logging.getLogger(__name__)


class Model(OpenAIChatCompletionClient):
    """Refuses answers that were cut."""

    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason == "length" or result.finish_reason not in ("stop", "function_calls"):
            raise RuntimeError(f"incomplete answer ({result.finish_reason})")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Model(model="gpt-4o-mini", max_retries=1, timeout=10)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


class ChatIn(BaseModel):
    message: str


@app.post("/chat")
async def chat(body: ChatIn):
    agent = AssistantAgent("helper", app.state.client, system_message="You help with recipes.")
    try:
        result = await asyncio.wait_for(agent.run(task=body.message), 25)
    except Exception as error:
        logger.exception("the helper failed")
        return JSONResponse({"error": type(error).__name__, "agent": "helper"}, status_code=503)
    return {"reply": result.messages[-1].content}
