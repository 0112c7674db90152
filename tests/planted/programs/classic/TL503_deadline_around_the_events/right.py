import asyncio
import os

from autogen import AssistantAgent
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
MAX_SECONDS = 1.0

app = FastAPI()


class Topic(BaseModel):
    topic: str


def debaters() -> tuple[AssistantAgent, AssistantAgent]:
    pro = AssistantAgent("pro", "You argue for it.", llm_config=llm_config)
    contra = AssistantAgent("contra", "You argue against it.", llm_config=llm_config)
    return pro, contra


@app.post("/discussions")
async def discuss(body: Topic) -> dict[str, str]:
    pro, contra = debaters()
    chat = pro.a_initiate_chat(contra, message=body.topic, max_turns=4, silent=True)
    try:
        result = await asyncio.wait_for(chat, MAX_SECONDS)
    except TimeoutError:
        raise HTTPException(504, "the two did not come to an end") from None
    return {"summary": result.summary}
