import asyncio
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


async def run(prompt):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key=os.environ.get("OPENAI_API_KEY"))
    try:
        agent = AssistantAgent("generator", model_client=client)
        response = await agent.on_messages([TextMessage(content=prompt, source="user")], CancellationToken())
        return response.chat_message.content
    finally:
        await client.close()


@app.route("/api/generate", methods=["POST"])
def generate():
    prompt = request.get_json(force=True).get("prompt", "")
    if not prompt:
        return jsonify({"error": "no prompt"}), 400
    try:
        return jsonify({"text": asyncio.run(run(prompt))})
    except Exception as e:
        app.logger.exception("generation failed")
        return jsonify({"error": type(e).__name__}), 500
