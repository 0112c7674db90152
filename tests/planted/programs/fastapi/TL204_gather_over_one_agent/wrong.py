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
    yield
    await app.state.model.close()


app = FastAPI(lifespan=lifespan)


@app.post("/review")
async def review(body: Contract):
    lawyer = AssistantAgent("lawyer", app.state.model, system_message="You review contracts.")
    results = await asyncio.gather(
        *[lawyer.run(task=f"What about {aspect} in this contract?\n{body.contract}") for aspect in ASPECTS]
    )
    return dict(zip(ASPECTS, [result.messages[-1].content for result in results]))
