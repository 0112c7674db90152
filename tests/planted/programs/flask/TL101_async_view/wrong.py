import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def cook(ingredients):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    chef = AssistantAgent("chef", client, system_message="You invent recipes.")
    result = await chef.run(task=ingredients)
    await client.close()
    return result.messages[-1].content


def get_recipe(ingredients):
    return asyncio.run(cook(ingredients))


@app.post("/recipes")
async def recipes():
    recipe = get_recipe(request.json["ingredients"])
    return jsonify(recipe=recipe)
