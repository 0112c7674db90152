import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
ORDERS = [{"id": "17", "state": "open"}, {"id": "18", "state": "sent"}]


def find_order(order_id: str) -> str:
    matching = [order for order in ORDERS if order["id"] == order_id]
    return matching[0]["state"]


order_tool = FunctionTool(find_order, description="Find an order by its id.")


async def support(message):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("support", client, tools=[order_tool], reflect_on_tool_use=True)
        return (await agent.run(task=message)).messages[-1].to_text()
    finally:
        await client.close()


@app.post("/support")
def support_view():
    return jsonify(reply=asyncio.run(support(request.json["message"])))
