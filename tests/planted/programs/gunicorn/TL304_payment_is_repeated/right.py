from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

paid = []


class Text(BaseModel):
    text: str


async def pay_invoice(number: int) -> str:
    """Pay an invoice."""
    paid.append(number)
    return f"paid invoice {number}"


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=3, timeout=20)
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/pay")
async def pay(body: Text):
    bookkeeper = AssistantAgent("bookkeeper", app.state.client, tools=[pay_invoice], reflect_on_tool_use=True)
    result = await bookkeeper.run(task=body.text)
    return {"reply": result.messages[-1].to_text(), "paid": len(paid)}
