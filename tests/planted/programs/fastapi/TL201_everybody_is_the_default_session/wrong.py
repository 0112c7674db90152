from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class ChatIn(BaseModel):
    message: str
    session: str = "default"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    app.state.sessions = {}
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def session_agent(name: str) -> AssistantAgent:
    sessions = app.state.sessions
    if name not in sessions:
        sessions[name] = AssistantAgent("gardener", app.state.client, system_message="You know plants.")
    return sessions[name]


@app.post("/chat")
async def chat(body: ChatIn):
    result = await session_agent(body.session).run(task=body.message)
    return {"reply": result.messages[-1].to_text(), "session": body.session}
