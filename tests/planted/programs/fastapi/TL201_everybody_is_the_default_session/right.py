import asyncio
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel, Field


class ChatIn(BaseModel):
    message: str
    session: str = Field(default_factory=lambda: uuid.uuid4().hex)


class Session:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.state = None


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    app.state.sessions = {}
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: ChatIn):
    session = app.state.sessions.setdefault(body.session, Session())
    async with session.lock:
        agent = AssistantAgent("gardener", app.state.client, system_message="You know plants.")
        if session.state:
            await agent.load_state(session.state)
        result = await agent.run(task=body.message)
        session.state = await agent.save_state()
    return {"reply": result.messages[-1].to_text(), "session": body.session}
