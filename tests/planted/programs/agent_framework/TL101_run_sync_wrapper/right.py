from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import APIRouter, Body, FastAPI


class Assistant:
    def __init__(self) -> None:
        self.agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You answer briefly.", name="assistant")

    async def ask(self, prompt: str) -> str:
        response = await self.agent.run(prompt)
        return response.text


router = APIRouter(prefix="/v1")
assistant = Assistant()


@router.post("/ask")
async def ask(prompt: str = Body(embed=True)):
    return {"answer": await assistant.ask(prompt)}


app = FastAPI()
app.include_router(router)
