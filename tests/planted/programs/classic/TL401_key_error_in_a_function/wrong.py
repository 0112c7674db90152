import os
from typing import Annotated

from autogen import ConversableAgent
from flask import Flask, request

app = Flask(__name__)
POLICIES = {"P-1": "Returns within 30 days.", "P-2": "Shipping is free from 50 euros."}
config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def answer(question):
    clerk = ConversableAgent("clerk", llm_config=config, human_input_mode="NEVER")
    customer = ConversableAgent("customer", llm_config=False, human_input_mode="NEVER", default_auto_reply="")

    @customer.register_for_execution()
    @clerk.register_for_llm(description="Text of a policy")
    def policy(policy_id: Annotated[str, "like P-1"]) -> str:
        return POLICIES[policy_id]

    return customer.initiate_chat(clerk, message=question, max_turns=2).summary


@app.post("/policy")
def ask():
    return {"answer": answer(request.json["question"])}
