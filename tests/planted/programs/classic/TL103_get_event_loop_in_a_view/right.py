import os

import autogen
from flask import Flask, jsonify, request

app = Flask(__name__)

config_list = [{"model": "gpt-4o-mini", "api_key": os.getenv("OPENAI_API_KEY")}]


def summarise(text):
    writer = autogen.ConversableAgent(
        "writer", system_message="Summarise.", llm_config={"config_list": config_list}, human_input_mode="NEVER"
    )
    boss = autogen.ConversableAgent("boss", llm_config=False, human_input_mode="NEVER")
    result = boss.initiate_chat(writer, message=text, max_turns=1)
    return result.summary


@app.route("/summary", methods=["POST"])
def summary():
    return jsonify(summary=summarise(request.json["text"]))
