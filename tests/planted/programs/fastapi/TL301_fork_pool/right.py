import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

runner: asyncio.Runner | None = None
client: OpenAIChatCompletionClient | None = None


def start_worker() -> None:
    global runner
    runner = asyncio.Runner()


async def run_scorer(text: str) -> str:
    global client
    if client is None:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("scorer", client, system_message="Score the text from 1 to 10.")
    return (await agent.run(task=text)).messages[-1].content


def score(text: str) -> str:
    return runner.run(run_scorer(text))


@asynccontextmanager
async def lifespan(app: FastAPI):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=2, mp_context=spawn, initializer=start_worker) as app.state.pool:
        yield


class Texts(BaseModel):
    texts: list[str]


app = FastAPI(lifespan=lifespan)


@app.post("/score")
async def score_all(body: Texts):
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(app.state.pool, score, text) for text in body.texts]
    return await asyncio.gather(*jobs)
