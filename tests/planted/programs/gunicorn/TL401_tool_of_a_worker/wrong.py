import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

application = Flask(__name__)
RATES = {("EUR", "USD"): "1.09", ("EUR", "GBP"): "0.85"}


async def exchange_rate(source: str, target: str) -> str:
    """The exchange rate between two currencies, by their three letters."""
    rate = RATES[(source, target)]
    return f"1 {source} is {float(rate):.2f} {target}"


async def rate(message):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        banker = AssistantAgent("banker", client, tools=[exchange_rate])
        return (await banker.run(task=message)).messages[-1].to_text()
    finally:
        await client.close()


@application.post("/rate")
def rate_view():
    return jsonify(reply=asyncio.run(rate(request.json["message"])))
