import os

from autogen import AssistantAgent, UserProxyAgent
from flask import Flask, request

app = Flask(__name__)
llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
DATABASE = os.environ.get("DATABASE_URL", "mysql://root:hunter2@10.0.0.7/accounts")


def balance(account: str) -> str:
    raise ConnectionError(f"(2003, \"Can't connect to {DATABASE}\") while reading {account}")


@app.post("/bank")
def bank():
    teller = AssistantAgent("teller", llm_config=llm_config)
    desk = UserProxyAgent("desk", human_input_mode="NEVER", code_execution_config=False)
    teller.register_for_llm(description="The balance of an account")(balance)
    desk.register_for_execution()(balance)
    return {"text": desk.initiate_chat(teller, message=request.json["text"], max_turns=2).summary}
