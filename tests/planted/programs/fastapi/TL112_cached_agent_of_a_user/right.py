import asyncio
from contextlib import asynccontextmanager
from functools import lru_cache

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)
    yield
    user.cache_clear()
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


class Chat(BaseModel):
    message: str


class User:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.state = None


@lru_cache(maxsize=128)
def user(user_id: str) -> User:
    return User()


@app.post("/users/{user_id}/chat")
async def chat(user_id: str, body: Chat):
    trainee = user(user_id)
    async with trainee.lock:
        agent = AssistantAgent("trainer", app.state.client, system_message="You teach chess.")
        if trainee.state is not None:
            await agent.load_state(trainee.state)
        result = await agent.run(task=body.message)
        trainee.state = await agent.save_state()
    return {"reply": result.messages[-1].to_text()}
