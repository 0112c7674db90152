import asyncio
from functools import lru_cache

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


@lru_cache
def model_client():
    return OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)


def run_async(coroutine):
    return asyncio.new_event_loop().run_until_complete(coroutine)


@app.route("/slogan", methods=["POST"])
def slogan():
    agent = AssistantAgent("copywriter", model_client(), system_message="Write a slogan.")
    result = run_async(agent.run(task=request.json["product"]))
    return jsonify(slogan=result.messages[-1].content)
