import asyncio
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

client = OpenAIChatCompletionClient(model="gpt-4o-mini")


def score(text: str) -> str:
    agent = AssistantAgent("scorer", client, system_message="Score the text from 1 to 10.")
    result = asyncio.run(agent.run(task=text))
    return result.messages[-1].content


@asynccontextmanager
async def lifespan(app: FastAPI):
    await client.create([UserMessage(content="ping", source="startup")])
    with ProcessPoolExecutor(max_workers=3) as app.state.pool:
        yield


class Texts(BaseModel):
    texts: list[str]


app = FastAPI(lifespan=lifespan)


@app.post("/score")
async def score_all(body: Texts):
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(app.state.pool, score, text) for text in body.texts]
    return await asyncio.gather(*jobs)
