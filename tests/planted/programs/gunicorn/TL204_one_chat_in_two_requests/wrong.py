from collections import OrderedDict
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import UnboundedChatCompletionContext
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Threads(OrderedDict):
    """The contexts of the last thousand threads."""

    def context(self, thread_id):
        if thread_id not in self:
            self[thread_id] = UnboundedChatCompletionContext()
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
    context = app.state.threads.context(thread_id)
    agent = AssistantAgent("assistant", app.state.client, model_context=context)
    result = await agent.run(task=message.content)
    return {"thread_id": thread_id, "content": result.messages[-1].to_text()}
