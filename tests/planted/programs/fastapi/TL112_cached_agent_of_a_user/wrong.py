import asyncio
from functools import lru_cache
from threading import Lock

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Chat(BaseModel):
    message: str


@lru_cache(maxsize=128)
def user(user_id: str):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)
    return AssistantAgent("trainer", client, system_message="You teach chess."), Lock()


@app.post("/users/{user_id}/chat")
def chat(user_id: str, body: Chat):
    agent, lock = user(user_id)
    with lock:
        result = asyncio.run(agent.run(task=body.message))
    return {"reply": result.messages[-1].to_text()}
