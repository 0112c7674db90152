import logging
import os

import autogen
from fastapi import FastAPI, HTTPException

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("advice")
app = FastAPI()


def make_agents():
    config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]}
    doctor = autogen.AssistantAgent("doctor", llm_config=config)
    patient = autogen.UserProxyAgent("patient", human_input_mode="NEVER", code_execution_config=False)
    return doctor, patient


@app.post("/advice")
async def advice(body: dict):
    doctor, patient = make_agents()
    try:
        result = await patient.a_initiate_chat(doctor, message=body["problem"], max_turns=1)
        return {"advice": result.summary}
    except Exception as e:
        logger.exception("no advice")
        raise HTTPException(status_code=500, detail=str(e)) from e
