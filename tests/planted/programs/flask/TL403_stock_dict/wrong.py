import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
inventory = {"lamp": {"pieces": 50}, "chair": {"pieces": 20}}


def check_out(item: str) -> str:
    """Take one piece of an item out of the stock."""
    pieces = inventory[item]["pieces"]
    time.sleep(0.1)  # print the label
    inventory[item]["pieces"] = pieces - 1
    return f"{inventory[item]['pieces']} left"


async def shop(message):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("shop", client, tools=[check_out])
        return (await agent.run(task=message)).messages[-1].to_text()
    finally:
        await client.close()


@app.post("/buy")
def buy():
    reply = asyncio.run(shop(request.json["message"]))
    return jsonify(reply=reply, left=inventory["lamp"]["pieces"])
