from agent_framework import Agent, Message
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a teacher.", name="teacher")
chat_history = []


class ChatMessage(BaseModel):
    message: str
    thread_id: str


@app.post("/chat")
async def chat(body: ChatMessage):
    chat_history.append(Message("user", [body.message]))
    response = await agent.run(chat_history)
    chat_history.extend(response.messages)
    return {"answer": response.text, "thread_id": body.thread_id}
