"""What `benchmarks/guard.py` drives beside `turnlane serve`: agents behind FastAPI as it should be done.

Run by uvicorn; one client a process, one agent a request, its state kept by conversation.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

from workload import assistant

states: dict[str, Mapping[str, Any]] = {}
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


class Message(BaseModel):
    """One message of a conversation."""

    conversation: str
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


@app.post("/chat")
async def chat(message: Message) -> dict[str, str]:
    async with locks[message.conversation]:
        agent = assistant(app.state.client)
        if message.conversation in states:
            await agent.load_state(states[message.conversation])
        result = await agent.run(task=message.text)
        states[message.conversation] = await agent.save_state()
    return {"text": str(result.messages[-1].content)}  # type: ignore[union-attr]
