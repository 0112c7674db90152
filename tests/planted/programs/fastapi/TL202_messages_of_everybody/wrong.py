from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

conversation_history: list[TextMessage] = []


class UserMessage(BaseModel):
    text: str
    user_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/api/chat")
async def chat(body: UserMessage):
    conversation_history.append(TextMessage(content=body.text, source="user"))
    tutor = AssistantAgent("tutor", app.state.client, system_message="You are a patient maths tutor.")
    response = await tutor.on_messages(conversation_history, CancellationToken())
    conversation_history.append(response.chat_message)
    return {"user_id": body.user_id, "answer": response.chat_message.content}
