import asyncio
import logging
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("sessions")


class Message(BaseModel):
    message: str


class Session:
    def __init__(self, client):
        self.busy = asyncio.Lock()
        self.attempts = 0
        self.agent = AssistantAgent("analyst", client, tools=[self.query], reflect_on_tool_use=True)

    async def query(self, sql: str) -> str:
        """Run a query on the warehouse."""
        self.attempts += 1
        await asyncio.sleep(3 if self.attempts == 1 else 0.1)  # the first one starts the warehouse
        return "42 rows"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.sessions = {}
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/session/{session_id}")
async def say(session_id: str, body: Message):
    session = app.state.sessions.get(session_id)
    if session is None:
        session = app.state.sessions[session_id] = Session(app.state.client)
    async with session.busy:
        try:
            async with asyncio.timeout(1.5):
                result = await session.agent.run(task=body.message)
        except Exception as error:
            log.exception("analyst failed")
            raise HTTPException(504, f"analyst: {type(error).__name__}") from error
    return {"reply": result.messages[-1].to_text()}
