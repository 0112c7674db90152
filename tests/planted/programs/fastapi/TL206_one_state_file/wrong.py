import json
import os

import aiofiles
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
state_path = "agent_state.json"
model_client = OpenAIChatCompletionClient(model="gpt-4o")


async def get_agent() -> AssistantAgent:
    agent = AssistantAgent("assistant", model_client, system_message="You are a helpful assistant.")
    if not os.path.exists(state_path):
        return agent
    async with aiofiles.open(state_path, "r") as file:
        content = await file.read()
    if content:
        await agent.load_state(json.loads(content))
    return agent


@app.post("/chat", response_model=TextMessage)
async def chat(request: TextMessage):
    agent = await get_agent()
    response = await agent.on_messages([request], CancellationToken())
    state = await agent.save_state()
    async with aiofiles.open(state_path, "w") as file:
        await file.write(json.dumps(state))
    return response.chat_message
