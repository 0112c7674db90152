import os
import time
from functools import wraps

from autogen import ConversableAgent
from flask import Flask, request

app = Flask(__name__)
config = {"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"], "max_retries": 3}


def retried(f):
    @wraps(f)
    def wrapper(*args):
        for pause in (0.1, 0.2, 0.4):
            try:
                return f(*args)
            except Exception as error:
                app.logger.warning("again: %s", error)
                time.sleep(pause)
        return f(*args)

    return wrapper


@retried
def complete(text):
    agent = ConversableAgent("oracle", llm_config={"config_list": [config], "cache_seed": None}, human_input_mode="NEVER")
    return agent.generate_reply(messages=[{"role": "user", "content": text}])


@app.post("/ask")
def ask():
    return {"a": complete(request.json["q"])}
