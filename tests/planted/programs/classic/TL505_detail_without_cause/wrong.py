import os

from autogen import AssistantAgent, UserProxyAgent
from fastapi import Body, FastAPI, HTTPException

app = FastAPI()
config = {
    "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"], "max_retries": 0}],
    "cache_seed": None,
}


@app.post("/ask")
def ask(q: str = Body(embed=True)):
    try:
        expert = AssistantAgent("expert", llm_config=config)
        user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
        return {"a": user.initiate_chat(expert, message=q, max_turns=1).summary}
    except Exception:
        raise HTTPException(status_code=500, detail="Internal error, please try again")
