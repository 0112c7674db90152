import json
import os

from autogen import ConversableAgent
from flask import Flask, jsonify, request

app = Flask(__name__)
HISTORY = os.path.join(os.getcwd(), "chat_history.json")
llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def load():
    try:
        with open(HISTORY) as f:
            return json.load(f)
    except FileNotFoundError:
        return []


@app.route("/chat", methods=["POST"])
def chat():
    messages = load()
    messages.append({"role": "user", "content": request.json["text"]})
    agent = ConversableAgent("helper", llm_config=llm_config, human_input_mode="NEVER")
    reply = agent.generate_reply(messages=messages)
    messages.append({"role": "assistant", "content": reply})
    with open(HISTORY, "w") as f:
        json.dump(messages, f)
    return jsonify(reply=reply)
