import asyncio
import logging
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
CRM_URL = os.environ.get("CRM_URL", "https://svc-crm:Winter2024@crm.internal:8443/v2")


class CrmError(Exception):
    pass


def fetch(name: str) -> str:
    raise CrmError("the CRM answered 503")


def customer_record(name: str) -> str:
    """Read a customer's record from the CRM."""
    try:
        return fetch(name)
    except CrmError as error:
        logging.error("customer record: %s", error)
        return "The CRM is not available at the moment (CRM-503). Try again in a few minutes."


async def answer(message):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("crm", client, tools=[customer_record])
        return (await agent.run(task=message)).messages[-1].to_text()
    finally:
        await client.close()


@app.post("/customer")
def customer():
    return jsonify(reply=asyncio.run(answer(request.json["message"])))
