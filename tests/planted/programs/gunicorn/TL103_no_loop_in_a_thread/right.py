import asyncio
import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, request

app = Flask("webhook")


async def handle(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("sorter", client)
        result = await agent.run(task=text)
        return result.messages[-1].content
    finally:
        await client.close()


@app.route("/webhook", methods=["POST"])
def webhook():
    try:
        return {"sorted": asyncio.run(handle(request.json["text"]))}
    except RuntimeError:
        logging.exception("webhook failed")
        return {"error": "failed"}, 500
