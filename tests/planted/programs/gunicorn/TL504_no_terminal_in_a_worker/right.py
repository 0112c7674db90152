import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def order(text):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    waiter = AssistantAgent("waiter", client, description="takes orders", system_message="Confirm with the guest.")
    team = RoundRobinGroupChat([waiter], termination_condition=MaxMessageTermination(2))
    try:
        result = await team.run(task=text)
    finally:
        await client.close()
    return [message.to_text() for message in result.messages]


@app.post("/order")
def order_view():
    return jsonify(messages=asyncio.run(order(request.json["text"])), confirm_with="a new request")
