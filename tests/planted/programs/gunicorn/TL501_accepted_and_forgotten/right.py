import asyncio
import json
import sqlite3
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Job(BaseModel):
    task: str


class Queue:
    """Jobs in a table: what is accepted is stored, and what was interrupted is done at the next start."""

    def __init__(self, path: str):
        self.rows = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.rows.execute("create table if not exists job (id primary key, task, worker, result)")

    def add(self, task: str) -> str:
        job_id = str(uuid.uuid4())
        self.rows.execute("insert into job (id, task) values (?, ?)", (job_id, task))
        return job_id

    def claim(self, worker: str):
        return self.rows.execute(
            "update job set worker = ? where id = (select id from job where worker is null limit 1)"
            " returning id, task",
            (worker,),
        ).fetchone()

    def give_back(self, worker: str):
        self.rows.execute("update job set worker = null where worker = ? and result is null", (worker,))

    def done(self, job_id: str, result: str):
        self.rows.execute("update job set result = ? where id = ?", (json.dumps(result), job_id))

    def result(self, job_id: str):
        row = self.rows.execute("select result from job where id = ?", (job_id,)).fetchone()
        return json.loads(row[0]) if row and row[0] else None


async def work(queue: Queue, client, name: str, stop: asyncio.Event):
    while not stop.is_set():
        job = queue.claim(name)
        if job is None:
            await asyncio.sleep(0.1)
            continue
        team = RoundRobinGroupChat([AssistantAgent("analyst", client), AssistantAgent("writer", client)], max_turns=2)
        result = await team.run(task=job[1])
        queue.done(job[0], result.messages[-1].to_text())


@asynccontextmanager
async def lifespan(app: FastAPI):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    queue = app.state.queue = Queue("jobs.db")
    name, stop = str(uuid.uuid4()), asyncio.Event()
    workers = [asyncio.create_task(work(queue, client, name, stop)) for _ in range(4)]
    yield
    stop.set()
    await asyncio.wait(workers, timeout=4)
    queue.give_back(name)
    await client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=202)
async def create_job(job: Job):
    return {"job_id": app.state.queue.add(job.task)}


@app.get("/jobs/{job_id}")
async def get_job(job_id: str):
    return {"job_id": job_id, "result": app.state.queue.result(job_id)}
