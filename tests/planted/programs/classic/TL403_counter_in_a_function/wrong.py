import os
import time

from autogen import AssistantAgent, UserProxyAgent
from fastapi import Body, FastAPI

app = FastAPI()
numbers = {"passports": 0, "licences": 0}
config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def draw_number(desk: str) -> str:
    number = numbers[desk] + 1
    time.sleep(0.05)  # the printer
    numbers[desk] = number
    return str(number)


@app.post("/tickets")
def ticket(wish: str = Body(embed=True)):
    host = AssistantAgent("host", llm_config=config)
    printer = UserProxyAgent("printer", human_input_mode="NEVER", code_execution_config=False)
    host.register_for_llm(description="Draw a number for a desk")(draw_number)
    printer.register_for_execution()(draw_number)
    return {"text": printer.initiate_chat(host, message=wish, max_turns=2, silent=True).summary}
