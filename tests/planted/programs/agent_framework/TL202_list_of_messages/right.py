import asyncio
from collections import defaultdict

from agent_framework import Agent, Message
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a teacher.", name="teacher")
histories = {}
turns = defaultdict(asyncio.Lock)


class ChatMessage(BaseModel):
    message: str
    thread_id: str


@app.post("/chat")
async def chat(body: ChatMessage):
    async with turns[body.thread_id]:
        messages = [*histories.get(body.thread_id, []), Message("user", [body.message])]
        response = await agent.run(messages)
        histories[body.thread_id] = [*messages, *response.messages]
    return {"answer": response.text, "thread_id": body.thread_id}
