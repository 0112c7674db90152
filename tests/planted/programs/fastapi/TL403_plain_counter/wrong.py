import json
import time
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")
tickets: list[dict] = []
next_number = 1


class Message(BaseModel):
    message: str


def open_ticket(title: str) -> str:
    """Open a ticket for the user."""
    global next_number
    number = next_number
    time.sleep(0.05)  # the ticket system is slow
    next_number = number + 1
    tickets.append({"number": number, "title": title})
    Path("tickets.json").write_text(json.dumps(tickets))
    return f"opened ticket {number}"


@app.post("/chat")
async def chat(body: Message):
    agent = AssistantAgent("helpdesk", client, tools=[open_ticket])
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].to_text()}
