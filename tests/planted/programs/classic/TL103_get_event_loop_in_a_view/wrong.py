import asyncio
import os

import autogen
from flask import Flask, jsonify, request

app = Flask(__name__)

config_list = [{"model": "gpt-4o-mini", "api_key": os.getenv("OPENAI_API_KEY")}]


async def summarise(text):
    writer = autogen.ConversableAgent(
        "writer", system_message="Summarise.", llm_config={"config_list": config_list}, human_input_mode="NEVER"
    )
    boss = autogen.ConversableAgent("boss", llm_config=False, human_input_mode="NEVER")
    result = await boss.a_initiate_chat(writer, message=text, max_turns=1)
    return result.summary


@app.route("/summary", methods=["POST"])
def summary():
    loop = asyncio.get_event_loop()
    text = loop.run_until_complete(summarise(request.json["text"]))
    return jsonify(summary=text)
