import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def cook(ingredients):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        chef = AssistantAgent("chef", client, system_message="You invent recipes.")
        result = await chef.run(task=ingredients)
        return result.messages[-1].content
    finally:
        await client.close()


@app.post("/recipes")
def recipes():
    return jsonify(recipe=asyncio.run(cook(request.json["ingredients"])))
