import os

from autogen import ConversableAgent
from flask import Flask, request

app = Flask(__name__)
history = []


def bot():
    return ConversableAgent(
        "bot",
        system_message="You chat about films.",
        llm_config={"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None},
        human_input_mode="NEVER",
    )


@app.route("/talk", methods=["POST"])
def talk():
    history.append({"role": "user", "content": request.json["text"]})
    reply = bot().generate_reply(messages=history)
    history.append({"role": "assistant", "content": reply})
    return {"reply": reply}
