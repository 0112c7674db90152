import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel


class IncompleteAnswer(Exception):
    pass


class CompleteAnswers(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason not in {"stop", "function_calls"}:
            raise IncompleteAnswer(f"finish_reason is {result.finish_reason}")
        return result


class Question(BaseModel):
    question: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.llm = CompleteAnswers(model="gpt-4o-mini", max_tokens=200, timeout=10, max_retries=1)
    yield
    await app.state.llm.close()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(Exception)
async def failed(request, error):
    logging.getLogger("manual").error("%s failed", request.url.path, exc_info=error)
    return JSONResponse({"error": type(error).__name__}, status_code=502)


@app.post("/manual")
async def manual(body: Question):
    mechanic = AssistantAgent("mechanic", app.state.llm, system_message="You explain repairs step by step.")
    async with asyncio.timeout(30):
        result = await mechanic.run(task=body.question)
    return {"steps": result.messages[-1].content}
