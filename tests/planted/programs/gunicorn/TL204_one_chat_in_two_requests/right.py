import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Thread:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.state = None


class Threads(OrderedDict):
    """The last thousand threads."""

    def thread(self, thread_id) -> Thread:
        if thread_id not in self:
            self[thread_id] = Thread()
            if len(self) > 1000:
                self.popitem(last=False)
        return self[thread_id]


class NewMessage(BaseModel):
    content: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.threads = Threads()
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/threads/{thread_id}/messages")
async def add_message(thread_id: str, message: NewMessage):
    thread = app.state.threads.thread(thread_id)
    async with thread.lock:
        agent = AssistantAgent("assistant", app.state.client)
        if thread.state is not None:
            await agent.load_state(thread.state)
        result = await agent.run(task=message.content)
        thread.state = await agent.save_state()
    return {"thread_id": thread_id, "content": result.messages[-1].to_text()}
