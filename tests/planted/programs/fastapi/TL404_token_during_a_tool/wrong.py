import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class ReportRequest(BaseModel):
    month: str
    max_seconds: float = 1.0


async def collect_sales(month: str) -> str:
    """Collect the sales of a month from all shops."""
    await asyncio.sleep(20)
    return f"sales of {month}: 1200"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/reports")
async def report(body: ReportRequest):
    token = CancellationToken()
    asyncio.get_running_loop().call_later(body.max_seconds, token.cancel)
    reporter = AssistantAgent("reporter", app.state.client, tools=[collect_sales])
    try:
        result = await reporter.run(task=f"Report for {body.month}", cancellation_token=token)
    except asyncio.CancelledError:
        return {"report": None, "status": "stopped"}
    return {"report": result.messages[-1].to_text(), "status": "done"}
