import os

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, jsonify, request

app = Flask(__name__)

llm_config = {
    "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ.get("OPENAI_API_KEY")}],
    "temperature": 0,
    "cache_seed": None,
}


def make_pair():
    assistant = AssistantAgent("assistant", system_message="You are a helpful assistant.", llm_config=llm_config)
    user_proxy = UserProxyAgent(
        "user_proxy", human_input_mode="NEVER", max_consecutive_auto_reply=0, code_execution_config=False
    )
    return user_proxy, assistant


@app.post("/chat")
def chat():
    message = request.get_json()["message"]
    user_proxy, assistant = make_pair()
    user_proxy.initiate_chat(assistant, message=message, silent=True)
    return jsonify({"response": user_proxy.last_message(assistant)["content"]})
