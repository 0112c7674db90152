import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import APIRouter, Body, FastAPI


def run_sync(coroutine):
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(coroutine)


class Assistant:
    def __init__(self) -> None:
        self.agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You answer briefly.", name="assistant")

    def ask(self, prompt: str) -> str:
        return run_sync(self.agent.run(prompt)).text


router = APIRouter(prefix="/v1")
assistant = Assistant()


@router.post("/ask")
async def ask(prompt: str = Body(embed=True)):
    return {"answer": assistant.ask(prompt)}


app = FastAPI()
app.include_router(router)
