import os
import time

from autogen import AssistantAgent, UserProxyAgent, register_function
from fastapi import Body, FastAPI

app = FastAPI()
ledger = []
llm_config = {
    "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"], "max_retries": 1}],
    "cache_seed": None,
}


def charge(customer: str, euros: int) -> str:
    """Charge a customer's card."""
    ledger.append((customer, euros))
    return f"charged {euros} euros"


def run(order: str) -> str:
    cashier = AssistantAgent("cashier", llm_config=llm_config)
    till = UserProxyAgent("till", human_input_mode="NEVER", code_execution_config=False)
    register_function(charge, caller=cashier, executor=till, description="Charge a customer's card.")
    return till.initiate_chat(cashier, message=order, max_turns=3).summary


@app.post("/pay")
def pay(order: str = Body(embed=True)):
    for attempt in range(5):
        try:
            return {"answer": run(order), "ledger": len(ledger)}
        except Exception as error:
            print("attempt", attempt, "failed:", error)
            time.sleep(0.2)
    return {"answer": "please try again later", "ledger": len(ledger)}
