import os

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, request

app = Flask(__name__)
config_list = [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]


def solve(task):
    assistant = AssistantAgent("assistant", llm_config={"config_list": config_list})
    user_proxy = UserProxyAgent("user_proxy", code_execution_config=False)
    return user_proxy.initiate_chat(assistant, message=task).summary


@app.post("/tasks")
def tasks():
    return {"result": solve(request.get_json()["task"])}
