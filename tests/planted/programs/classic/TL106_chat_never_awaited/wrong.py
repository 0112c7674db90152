import os
from contextlib import asynccontextmanager

from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.llm_config = {
        "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}],
        "cache_seed": None,
    }
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/notify")
async def notify(request: Request):
    note = (await request.json())["note"]
    secretary = AssistantAgent("secretary", llm_config=request.app.state.llm_config)
    boss = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)
    boss.a_initiate_chat(secretary, message=note, max_turns=1)
    return {"status": "sent"}
