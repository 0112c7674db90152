import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def label(client, review):
    labeller = AssistantAgent("labeller", client, system_message="positive, negative or neutral?")
    return (await labeller.run(task=review)).messages[-1].content


async def label_all(reviews):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        return await asyncio.gather(*[label(client, r) for r in reviews], return_exceptions=True)
    finally:
        await client.close()


@app.post("/label")
def label_view():
    labels = asyncio.run(label_all(request.json["reviews"]))
    return jsonify([None if isinstance(value, Exception) else value for value in labels])
