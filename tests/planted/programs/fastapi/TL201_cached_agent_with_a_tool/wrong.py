from functools import lru_cache

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Depends, FastAPI
from pydantic import BaseModel

ORDERS = {"1001": "shipped", "1002": "packed"}


async def order_status(order_id: str) -> str:
    """Return the status of an order."""
    return ORDERS.get(order_id, "unknown order")


@lru_cache(maxsize=1)
def get_agent() -> AssistantAgent:
    model_client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    return AssistantAgent("shop", model_client, tools=[order_status], reflect_on_tool_use=True)


class ChatMessage(BaseModel):
    message: str
    session_id: str


app = FastAPI()


@app.post("/chat")
async def chat(body: ChatMessage, agent: AssistantAgent = Depends(get_agent)):
    result = await agent.run(task=body.message)
    return {"session_id": body.session_id, "reply": result.messages[-1].to_text()}
