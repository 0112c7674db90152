import asyncio
import logging
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import CreateResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

logger = logging.getLogger("reports")


class ReportIn(BaseModel):
    topic: str


class Model(OpenAIChatCompletionClient):
    async def create(self, *args, **kwargs) -> CreateResult:
        result = await super().create(*args, **kwargs)
        if result.finish_reason != "stop":
            raise RuntimeError(f"incomplete answer: {result.finish_reason}")
        return result


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = Model(model="gpt-4o", timeout=10, max_retries=1)
    app.state.jobs = {}
    yield
    await asyncio.gather(*app.state.jobs.values(), return_exceptions=True)
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def write_report(job: str, topic: str) -> str:
    reporter = AssistantAgent("reporter", app.state.client, system_message="You write reports.")
    try:
        async with asyncio.timeout(25):
            result = await reporter.run(task=topic)
    except Exception:
        logger.exception("report %s failed", job)
        raise
    return result.messages[-1].to_text()


@app.post("/reports", status_code=202)
async def create_report(body: ReportIn):
    job = uuid.uuid4().hex
    app.state.jobs[job] = asyncio.create_task(write_report(job, body.topic))
    return {"status": "accepted", "id": job}


@app.get("/reports/{job}")
async def get_report(job: str):
    if job not in app.state.jobs:
        raise HTTPException(404, "no such report")
    try:
        return {"report": await asyncio.shield(app.state.jobs[job])}
    except Exception as error:
        raise HTTPException(502, f"reporter: {type(error).__name__}") from error
