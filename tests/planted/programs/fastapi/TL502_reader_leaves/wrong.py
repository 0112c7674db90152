import json
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def newsroom(client):
    names = ["reporter", "editor", "fact_checker"]
    return RoundRobinGroupChat([AssistantAgent(name, client) for name in names], max_turns=9)


async def events(topic: str):
    async for message in newsroom(app.state.client).run_stream(task=topic):
        if isinstance(message, TaskResult):
            yield f"event: done\ndata: {message.stop_reason}\n\n"
        else:
            yield f"data: {json.dumps({'source': message.source, 'text': message.to_text()})}\n\n"


@app.get("/stream")
async def stream(topic: str):
    return StreamingResponse(events(topic), media_type="text/event-stream")
