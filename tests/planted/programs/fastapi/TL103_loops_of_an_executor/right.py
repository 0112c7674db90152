import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel

router = APIRouter(prefix="/api/v1")


class Batch(BaseModel):
    items: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model = OpenAIChatCompletionClient(model="gpt-4o-mini")
    app.state.slots = asyncio.Semaphore(16)
    try:
        yield
    finally:
        await app.state.model.close()


@router.post("/classify")
async def classify(batch: Batch, request: Request) -> list[str]:
    state = request.app.state

    async def one(item: str) -> str:
        async with state.slots:
            classifier = AssistantAgent("classifier", state.model, system_message="positive or negative?")
            return (await classifier.run(task=item)).messages[-1].content

    return await asyncio.gather(*(one(item) for item in batch.items))


app = FastAPI(lifespan=lifespan)
app.include_router(router)
