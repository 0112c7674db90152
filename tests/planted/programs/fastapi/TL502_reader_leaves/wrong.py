import asyncio
import json
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class Message(BaseModel):
    text: str


async def search(query: str) -> str:
    """Search the archive."""
    await asyncio.sleep(1.5)
    return f"three articles about {query}"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.agents = {}
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


async def events(agent: AssistantAgent, text: str):
    async for message in agent.run_stream(task=text):
        if isinstance(message, TaskResult):
            yield "event: done\ndata: {}\n\n"
        else:
            yield f"data: {json.dumps({'source': message.source, 'text': message.to_text()})}\n\n"


@app.post("/chats/{chat_id}/stream")
async def stream(chat_id: str, body: Message):
    agents = app.state.agents
    if chat_id not in agents:
        agents[chat_id] = AssistantAgent("librarian", app.state.client, tools=[search], reflect_on_tool_use=True)
    return StreamingResponse(events(agents[chat_id], body.text), media_type="text/event-stream")
