from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class ChatIn(BaseModel):
    message: str


class Chats:
    """Keeps an agent for every chat."""

    def __init__(self):
        self.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        self.agents = {}

    def agent(self, chat_id: str) -> AssistantAgent:
        if chat_id not in self.agents:
            self.agents[chat_id] = AssistantAgent("assistant", self.client, system_message="Be brief.")
        return self.agents[chat_id]


app = FastAPI()
chats = Chats()


@app.post("/chats/{chat_id}")
async def post(chat_id: str, body: ChatIn):
    result = await chats.agent(chat_id).run(task=body.message)
    return {"chat_id": chat_id, "reply": result.messages[-1].content}


@app.delete("/chats/{chat_id}")
async def delete(chat_id: str):
    chats.agents.pop(chat_id, None)
