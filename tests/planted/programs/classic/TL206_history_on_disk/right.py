import json
import os
from collections import defaultdict
from hashlib import sha256
from threading import Lock

from autogen import ConversableAgent
from flask import Flask, jsonify, request

app = Flask(__name__)
locks = defaultdict(Lock)
llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def history_file(user):
    return f"history-{sha256(user.encode()).hexdigest()}.json"


def load(path):
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return []


@app.route("/chat", methods=["POST"])
def chat():
    user = request.json["user_id"]
    path = history_file(user)
    with locks[user]:
        messages = load(path)
        messages.append({"role": "user", "content": request.json["text"]})
        agent = ConversableAgent("helper", llm_config=llm_config, human_input_mode="NEVER")
        reply = agent.generate_reply(messages=messages)
        messages.append({"role": "assistant", "content": reply})
        with open(path, "w") as f:
            json.dump(messages, f)
    return jsonify(reply=reply)
