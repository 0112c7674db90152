import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def bank(order):
    client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=4, timeout=20)
    try:
        teller = AssistantAgent("teller", client)
        return (await teller.run(task=order)).messages[-1].to_text()
    finally:
        await client.close()


@app.route("/transfer", methods=["POST"])
def transfer():
    started = time.time()
    text = asyncio.run(bank(request.json["order"]))
    return jsonify(text=text, seconds=time.time() - started)
