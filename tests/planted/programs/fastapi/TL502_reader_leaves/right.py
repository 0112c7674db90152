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


class Chat:
    """One conversation. Its turns run one after the other, whether somebody reads them or not."""

    def __init__(self, client):
        self.client = client
        self.state = None
        self.lock = asyncio.Lock()
        self.turns: set[asyncio.Task] = set()

    def start(self, text: str) -> "asyncio.Queue[str | None]":
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        task = asyncio.create_task(self.turn(text, queue))
        self.turns.add(task)
        task.add_done_callback(self.turns.discard)
        return queue

    async def turn(self, text: str, queue: "asyncio.Queue[str | None]") -> None:
        try:
            async with self.lock:
                agent = AssistantAgent("librarian", self.client, tools=[search], reflect_on_tool_use=True)
                if self.state is not None:
                    await agent.load_state(self.state)
                async for message in agent.run_stream(task=text):
                    if isinstance(message, TaskResult):
                        queue.put_nowait("event: done\ndata: {}\n\n")
                    else:
                        value = {"source": message.source, "text": message.to_text()}
                        queue.put_nowait(f"data: {json.dumps(value)}\n\n")
                self.state = await agent.save_state()
        finally:
            queue.put_nowait(None)


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.chats = {}
    yield
    for chat in app.state.chats.values():
        await asyncio.gather(*chat.turns, return_exceptions=True)
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chats/{chat_id}/stream")
async def stream(chat_id: str, body: Message):
    chat = app.state.chats.setdefault(chat_id, Chat(app.state.client))
    queue = chat.start(body.text)

    async def read():
        while (event := await queue.get()) is not None:
            yield event

    return StreamingResponse(read(), media_type="text/event-stream")
