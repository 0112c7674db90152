import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.errorhandler(Exception)
def on_error(error):
    return jsonify(message="Something went wrong."), 500


async def answer(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("porter", client)
        return (await agent.run(task=text)).messages[-1].content
    finally:
        await client.close()


@app.post("/chat")
def chat():
    return jsonify(reply=asyncio.run(answer(request.json["message"])))
