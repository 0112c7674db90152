from contextlib import asynccontextmanager

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Say(BaseModel):
    text: str
    user_id: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.agent = Agent(
        client=OpenAIChatCompletionClient("gpt-4o-mini"),
        instructions="You are a fitness coach.",
        name="coach",
    )
    app.state.session = app.state.agent.create_session()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Say, request: Request):
    state = request.app.state
    response = await state.agent.run(body.text, session=state.session)
    return {"reply": response.text}
