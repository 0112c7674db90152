import asyncio
import json
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
STATE_FILE = os.path.join(os.getcwd(), "coach.json")


async def coach(text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("coach", client, system_message="You are a running coach.")
    try:
        if os.path.exists(STATE_FILE):
            with open(STATE_FILE) as f:
                await agent.load_state(json.load(f))
        result = await agent.run(task=text)
        with open(STATE_FILE, "w") as f:
            json.dump(await agent.save_state(), f)
        return result.messages[-1].content
    finally:
        await client.close()


@app.route("/message", methods=["POST"])
def message():
    data = request.get_json()
    return jsonify({"user": data["user"], "reply": asyncio.run(coach(data["text"]))})
