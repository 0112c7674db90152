import hashlib
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Text(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def fingerprint(text: str) -> str:
    digest = text.encode()
    for _ in range(3_000_000):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


@app.post("/digest")
async def digest(body: Text):
    agent = AssistantAgent("digester", app.state.client)
    result = await agent.run(task=body.text)
    return {"digest": result.messages[-1].content, "id": fingerprint(body.text)}
