import asyncio
import hashlib
import json
import os
import threading
from collections import defaultdict

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
STATES = os.path.join(os.getcwd(), "states")
os.makedirs(STATES, exist_ok=True)
locks = defaultdict(threading.Lock)


def state_file(user):
    return os.path.join(STATES, hashlib.sha256(user.encode()).hexdigest() + ".json")


async def coach(user, text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("coach", client, system_message="You are a running coach.")
    path = state_file(user)
    try:
        if os.path.exists(path):
            with open(path) as f:
                await agent.load_state(json.load(f))
        result = await agent.run(task=text)
        with open(path + ".new", "w") as f:
            json.dump(await agent.save_state(), f)
        os.replace(path + ".new", path)
        return result.messages[-1].content
    finally:
        await client.close()


@app.route("/message", methods=["POST"])
def message():
    data = request.get_json()
    with locks[data["user"]]:
        reply = asyncio.run(coach(data["user"], data["text"]))
    return jsonify({"user": data["user"], "reply": reply})
