import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Blueprint, Flask, jsonify, request

bp = Blueprint("quiz", __name__)


@bp.route("/quiz", methods=["POST"])
def quiz():
    subject = request.json["subject"]
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", temperature=0.7)
    teacher = AssistantAgent("teacher", client, system_message="Ask one question about the subject.")
    result = asyncio.run(teacher.run(task=subject))
    return jsonify(question=result.messages[-1].content)


app = Flask(__name__)
app.register_blueprint(bp)
