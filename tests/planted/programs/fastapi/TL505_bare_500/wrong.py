from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Message(BaseModel):
    message: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Message):
    try:
        agent = AssistantAgent("concierge", app.state.client)
        result = await agent.run(task=body.message)
        return {"reply": result.messages[-1].content}
    except Exception:
        raise HTTPException(status_code=500, detail="Internal server error")
