import asyncio
import os
import time

from autogen import AssistantAgent, UserProxyAgent, register_function
from fastapi import Body, FastAPI, HTTPException

app = FastAPI()
config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
orders: dict[str, int] = {}


def place_order(item: str) -> str:
    time.sleep(8)  # the warehouse answers slowly
    orders[item] = orders.get(item, 0) + 1
    return f"ordered: {item}"


def shop(wish: str) -> str:
    seller = AssistantAgent("seller", llm_config=config)
    till = UserProxyAgent("till", human_input_mode="NEVER", code_execution_config=False)
    register_function(place_order, caller=seller, executor=till, name="place_order", description="Order an item.")
    return till.initiate_chat(seller, message=wish, max_turns=2, silent=True).summary


@app.post("/orders")
async def order(wish: str = Body(embed=True)) -> dict[str, object]:
    try:
        answer = await asyncio.wait_for(asyncio.to_thread(shop, wish), timeout=6)
    except TimeoutError:
        raise HTTPException(504, "too slow; nothing was ordered") from None
    return {"answer": answer, "orders": orders}
