import asyncio
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

results: dict[str, str | None] = {}


class Job(BaseModel):
    task: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def process(job_id: str, task: str):
    team = RoundRobinGroupChat(
        [AssistantAgent("analyst", app.state.client), AssistantAgent("writer", app.state.client)], max_turns=2
    )
    result = await team.run(task=task)
    results[job_id] = result.messages[-1].to_text()


@app.post("/jobs", status_code=202)
async def create_job(job: Job):
    job_id = str(uuid.uuid4())
    results[job_id] = None
    asyncio.ensure_future(process(job_id, job.task))
    return {"job_id": job_id}


@app.get("/jobs/{job_id}")
async def get_job(job_id: str):
    return {"job_id": job_id, "result": results.get(job_id)}
