import logging
import os

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, jsonify, request

app = Flask(__name__)
log = logging.getLogger("kitchen")


def config() -> dict:
    return {
        "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}],
        "cache_seed": None,
        "timeout": 4,
        "max_retries": 1,
    }


@app.post("/recipes")
def recipe():
    cook = AssistantAgent("cook", "You know recipes.", llm_config=config())
    guest = UserProxyAgent("guest", human_input_mode="NEVER", code_execution_config=False)
    try:
        chat = guest.initiate_chat(cook, message=request.json["dish"], max_turns=1, silent=True)
    except Exception as error:
        log.exception("no recipe")
        return jsonify(error=f"the cook has a problem: {type(error).__name__}"), 502
    return jsonify(recipe=chat.summary)
