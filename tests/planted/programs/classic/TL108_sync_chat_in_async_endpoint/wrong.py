"""A planner and a reviewer, as an API."""

import os
from typing import Annotated

from autogen import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent
from fastapi import APIRouter, Body, FastAPI

router = APIRouter(prefix="/api/v1")
llm = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def build():
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    planner = AssistantAgent("planner", llm_config=llm)
    reviewer = AssistantAgent("reviewer", llm_config=llm)
    group = GroupChat([user, planner, reviewer], messages=[], max_round=3, speaker_selection_method="round_robin")
    return user, GroupChatManager(group, llm_config=llm)


@router.post("/run")
async def run(task: Annotated[str, Body(embed=True)]):
    user, manager = build()
    result = user.initiate_chat(manager, message=task)
    return {"messages": [m["content"] for m in result.chat_history]}


app = FastAPI()
app.include_router(router)
