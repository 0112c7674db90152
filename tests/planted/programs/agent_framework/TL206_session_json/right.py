import asyncio
import hashlib
import json
from collections import defaultdict
from pathlib import Path

from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You are a librarian.", name="librarian")
SESSIONS = Path("sessions")
SESSIONS.mkdir(exist_ok=True)
lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


class Say(BaseModel):
    text: str
    conversation_id: str


@app.post("/chat")
async def chat(body: Say):
    file = SESSIONS / f"{hashlib.sha256(body.conversation_id.encode()).hexdigest()}.json"
    async with lanes[body.conversation_id]:
        session = AgentSession.from_dict(json.loads(file.read_text())) if file.exists() else agent.create_session()
        response = await agent.run(body.text, session=session)
        file.write_text(json.dumps(session.to_dict()))
    return {"text": response.text}
