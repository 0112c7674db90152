import json
from pathlib import Path

from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a librarian.", name="librarian")
SESSION = Path("session.json")


class Say(BaseModel):
    text: str
    conversation_id: str


@app.post("/chat")
async def chat(body: Say):
    if SESSION.exists():
        session = AgentSession.from_dict(json.loads(SESSION.read_text()))
    else:
        session = agent.create_session()
    response = await agent.run(body.text, session=session)
    SESSION.write_text(json.dumps(session.to_dict()))
    return {"text": response.text}
