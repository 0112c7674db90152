import asyncio
import threading
from functools import lru_cache

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
starting = threading.Lock()


@lru_cache
def agents_loop():
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agents", daemon=True).start()
    return loop


@lru_cache
def model_client():
    return OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)


async def copywriter(product):
    agent = AssistantAgent("copywriter", model_client(), system_message="Write a slogan.")
    return (await agent.run(task=product)).messages[-1].content


@app.route("/slogan", methods=["POST"])
def slogan():
    with starting:
        loop = agents_loop()
    future = asyncio.run_coroutine_threadsafe(copywriter(request.json["product"]), loop)
    return jsonify(slogan=future.result(timeout=30))
