import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Blueprint, Flask, jsonify, request

bp = Blueprint("quiz", __name__)


async def ask(subject):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", temperature=0.7)
    try:
        teacher = AssistantAgent("teacher", client, system_message="Ask one question about the subject.")
        return (await teacher.run(task=subject)).messages[-1].content
    finally:
        await client.close()


@bp.route("/quiz", methods=["POST"])
def quiz():
    return jsonify(question=asyncio.run(ask(request.json["subject"])))


app = Flask(__name__)
app.register_blueprint(bp)
