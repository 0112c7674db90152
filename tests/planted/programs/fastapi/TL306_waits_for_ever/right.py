import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("chat")


class Message(BaseModel):
    message: str


class Model(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"incomplete: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model = Model(model="gpt-4o-mini", timeout=5, max_retries=1)
    yield
    await app.state.model.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Message):
    agent = AssistantAgent("helper", app.state.model)
    try:
        async with asyncio.timeout(12):
            result = await agent.run(task=body.message)
    except TimeoutError:
        log.error("helper took more than 12 s")
        raise HTTPException(504, "helper: no answer within 12 s") from None
    except Exception as error:
        log.exception("helper failed")
        raise HTTPException(502, f"helper: {type(error).__name__}") from error
    return {"reply": result.messages[-1].content}
