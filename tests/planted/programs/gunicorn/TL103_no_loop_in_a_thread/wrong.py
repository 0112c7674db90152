import asyncio
import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, request

app = Flask("webhook")


async def handle(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("sorter", client)
    result = await agent.run(task=text)
    await client.close()
    return result.messages[-1].content


@app.route("/webhook", methods=["POST"])
def webhook():
    try:
        loop = asyncio.get_event_loop()
        return {"sorted": loop.run_until_complete(handle(request.json["text"]))}
    except RuntimeError:
        logging.exception("webhook failed")
        return {"error": "failed"}, 500
