import asyncio
from concurrent.futures import ThreadPoolExecutor

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

executor = ThreadPoolExecutor(max_workers=8)
model = OpenAIChatCompletionClient(model="gpt-4o-mini")
router = APIRouter(prefix="/api/v1")


class Batch(BaseModel):
    items: list[str]


def classify_in_thread(item: str) -> str:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        classifier = AssistantAgent("classifier", model, system_message="positive or negative?")
        return loop.run_until_complete(classifier.run(task=item)).messages[-1].content
    finally:
        loop.close()


@router.post("/classify")
async def classify(batch: Batch) -> list[str]:
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(executor, classify_in_thread, item) for item in batch.items]
    return await asyncio.gather(*jobs)


app = FastAPI()
app.include_router(router)
