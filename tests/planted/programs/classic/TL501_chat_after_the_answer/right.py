import os
import uuid

from autogen import AssistantAgent, UserProxyAgent
from fastapi import Body, FastAPI

app = FastAPI()
jobs: dict[str, str] = {}
config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


async def work(job: str, text: str) -> None:
    analyst = AssistantAgent("analyst", llm_config=config)
    client = UserProxyAgent("client", human_input_mode="NEVER", code_execution_config=False)
    chat = await client.a_initiate_chat(analyst, message=text, max_turns=1)
    jobs[job] = chat.summary


@app.post("/jobs")
async def start(text: str = Body(embed=True)):
    job = uuid.uuid4().hex
    jobs[job] = "running"
    await work(job, text)
    return {"job": job}


@app.get("/jobs/{job}")
async def look(job: str):
    return {"state": jobs[job]}
