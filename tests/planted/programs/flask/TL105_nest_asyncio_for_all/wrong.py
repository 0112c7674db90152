import asyncio

import nest_asyncio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)

app = Flask(__name__)
client = OpenAIChatCompletionClient(model="gpt-4o")


@app.route("/ask", methods=["POST"])
def ask():
    agent = AssistantAgent(name="assistant", model_client=client)
    result = loop.run_until_complete(agent.run(task=request.json["question"]))
    return jsonify({"answer": result.messages[-1].content})
