import asyncio
import logging
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

log = logging.getLogger("concierge")


class Message(BaseModel):
    message: str


class Model(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"incomplete answer: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Model(model="gpt-4o-mini", max_retries=0, timeout=10)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Message, x_request_id: str | None = Header(None)):
    request_id = x_request_id or uuid.uuid4().hex
    try:
        async with asyncio.timeout(20):
            agent = AssistantAgent("concierge", app.state.client)
            result = await agent.run(task=body.message)
            return {"reply": result.messages[-1].content}
    except Exception as error:
        log.exception("concierge failed, request %s", request_id)
        detail = {"type": type(error).__name__, "agent": "concierge", "request_id": request_id}
        raise HTTPException(status_code=502, detail=detail) from error
