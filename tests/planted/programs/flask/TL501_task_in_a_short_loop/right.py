import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def write(topic):
    client = OpenAIChatCompletionClient(model="gpt-4o")
    try:
        writer = AssistantAgent("writer", client, system_message="You write a newsletter.")
        result = await writer.run(task=topic)
        return {"status": "done", "text": result.messages[-1].to_text()}
    finally:
        await client.close()


@app.post("/newsletter")
def newsletter():
    return jsonify(asyncio.run(write(request.json["topic"])))
