import asyncio
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)

MODEL_CLIENT = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key=os.environ.get("OPENAI_API_KEY"))


@app.route("/api/generate", methods=["POST"])
def generate():
    prompt = request.get_json(force=True).get("prompt", "")
    if not prompt:
        return jsonify({"error": "no prompt"}), 400
    agent = AssistantAgent("generator", model_client=MODEL_CLIENT)
    try:
        response = asyncio.run(agent.on_messages([TextMessage(content=prompt, source="user")], CancellationToken()))
    except Exception as e:
        app.logger.exception("generation failed")
        return jsonify({"error": str(e)}), 500
    return jsonify({"text": response.chat_message.content})
