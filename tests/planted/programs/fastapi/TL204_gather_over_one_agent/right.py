import asyncio
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

ASPECTS = ["liability", "termination", "payment terms"]


class Contract(BaseModel):
    contract: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model = OpenAIChatCompletionClient(model="gpt-4o")
    app.state.at_once = asyncio.Semaphore(10)
    yield
    await app.state.model.close()


app = FastAPI(lifespan=lifespan)


async def about(aspect: str, contract: str) -> str:
    async with app.state.at_once:
        lawyer = AssistantAgent("lawyer", app.state.model, system_message="You review contracts.")
        result = await lawyer.run(task=f"What about {aspect} in this contract?\n{contract}")
    return result.messages[-1].content


@app.post("/review")
async def review(body: Contract):
    answers = await asyncio.gather(*[about(aspect, body.contract) for aspect in ASPECTS])
    return dict(zip(ASPECTS, answers))
