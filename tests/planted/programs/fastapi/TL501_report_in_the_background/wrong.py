import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

logger = logging.getLogger("reports")


class ReportIn(BaseModel):
    topic: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o", timeout=30)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def write_report(topic: str) -> None:
    reporter = AssistantAgent("reporter", app.state.client, system_message="You write reports.")
    result = await reporter.run(task=topic)
    logger.info("report about %s: %s", topic, result.messages[-1].to_text())


@app.post("/reports", status_code=202)
async def create_report(body: ReportIn):
    asyncio.create_task(write_report(body.topic))
    return {"status": "accepted"}
