import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

logger = logging.getLogger("gunicorn.error")


class ChatBody(BaseModel):
    message: str
    session_id: str


class Client(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"finish_reason {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    client = Client(model="gpt-4o-mini", timeout=10, max_retries=1)
    app.state.agent = AssistantAgent("assistant", client, system_message="You help employees with IT problems.")
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/chat")
async def chat(body: ChatBody):
    try:
        async with asyncio.timeout(25):
            result = await app.state.agent.run(task=body.message)
    except Exception as error:
        logger.exception("chat failed")
        raise HTTPException(502, type(error).__name__) from error
    return {"session_id": body.session_id, "text": result.messages[-1].content}
