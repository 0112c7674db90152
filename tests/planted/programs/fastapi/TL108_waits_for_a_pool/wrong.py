import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

pool = ThreadPoolExecutor(4)


class Invoice(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


def store_pdf(text: str) -> str:
    time.sleep(0.6)  # rendering
    return f"/files/{abs(hash(text))}.pdf"


@app.post("/invoice")
async def invoice(body: Invoice):
    agent = AssistantAgent("invoicing", app.state.client)
    result = await agent.run(task=body.text)
    url = pool.submit(store_pdf, result.messages[-1].to_text()).result()
    return {"url": url}
