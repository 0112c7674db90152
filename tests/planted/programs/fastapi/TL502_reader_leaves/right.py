import asyncio
import json
import uuid
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from fastapi.responses import StreamingResponse


class Turn:
    """A run that goes on when its readers leave, and that they can come back to."""

    def __init__(self, team, topic: str):
        self.events: list[str] = []
        self.changed = asyncio.Condition()
        self.task = asyncio.create_task(self.run(team, topic))

    async def run(self, team, topic: str) -> None:
        async for message in team.run_stream(task=topic):
            if isinstance(message, TaskResult):
                await self.add(f"event: done\ndata: {message.stop_reason}\n\n")
            else:
                await self.add(f"data: {json.dumps({'source': message.source, 'text': message.to_text()})}\n\n")

    async def add(self, event: str) -> None:
        async with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    async def read(self, after: int = 0):
        while after < len(self.events) or not self.task.done():
            async with self.changed:
                await self.changed.wait_for(lambda: len(self.events) > after or self.task.done())
            for event in self.events[after:]:
                after += 1
                yield event


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.turns = {}
    yield
    await asyncio.gather(*(turn.task for turn in app.state.turns.values()), return_exceptions=True)
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def newsroom(client):
    names = ["reporter", "editor", "fact_checker"]
    return RoundRobinGroupChat([AssistantAgent(name, client) for name in names], max_turns=9)


@app.get("/stream")
async def stream(topic: str, turn_id: str | None = None, after: int = 0):
    turn_id = turn_id or uuid.uuid4().hex
    if turn_id not in app.state.turns:
        app.state.turns[turn_id] = Turn(newsroom(app.state.client), topic)
    headers = {"x-turn-id": turn_id}
    return StreamingResponse(app.state.turns[turn_id].read(after), media_type="text/event-stream", headers=headers)
