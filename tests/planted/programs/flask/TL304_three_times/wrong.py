import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def bank(order):
    client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=0)
    teller = AssistantAgent("teller", client)
    error = None
    try:
        for _ in range(5):
            try:
                reply = await teller.run(task=order)
                return reply.messages[-1].to_text()
            except Exception as e:
                error = e
                await asyncio.sleep(0.1)
        raise error
    finally:
        await client.close()


@app.route("/transfer", methods=["POST"])
def transfer():
    started = time.time()
    text = asyncio.run(bank(request.json["order"]))
    return jsonify(text=text, seconds=time.time() - started)
