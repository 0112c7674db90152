import asyncio
from dataclasses import dataclass, field

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class ChatIn(BaseModel):
    message: str


@dataclass
class Chat:
    state: dict | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Chats:
    """Keeps the state of every chat, one message at a time."""

    def __init__(self):
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        self.chats: dict[str, Chat] = {}

    async def say(self, chat_id: str, text: str) -> str:
        chat = self.chats.setdefault(chat_id, Chat())
        async with chat.lock:
            agent = AssistantAgent("assistant", self.client, system_message="Be brief.")
            if chat.state is not None:
                await agent.load_state(chat.state)
            result = await agent.run(task=text)
            chat.state = await agent.save_state()
        return result.messages[-1].content


app = FastAPI()
chats = Chats()


@app.on_event("shutdown")
async def close():
    await chats.client.close()


@app.post("/chats/{chat_id}")
async def post(chat_id: str, body: ChatIn):
    return {"chat_id": chat_id, "reply": await chats.say(chat_id, body.message)}


@app.delete("/chats/{chat_id}")
async def delete(chat_id: str):
    chats.chats.pop(chat_id, None)
