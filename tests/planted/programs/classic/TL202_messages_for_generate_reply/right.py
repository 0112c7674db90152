import os
from collections import defaultdict
from threading import Lock

from autogen import ConversableAgent
from flask import Flask, request

app = Flask(__name__)
histories = {}
locks = defaultdict(Lock)


def bot():
    return ConversableAgent(
        "bot",
        system_message="You chat about films.",
        llm_config={"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None},
        human_input_mode="NEVER",
    )


@app.route("/talk", methods=["POST"])
def talk():
    user = request.json["user_id"]
    with locks[user]:
        messages = [*histories.get(user, []), {"role": "user", "content": request.json["text"]}]
        reply = bot().generate_reply(messages=messages)
        histories[user] = [*messages, {"role": "assistant", "content": reply}]
    return {"reply": reply}
