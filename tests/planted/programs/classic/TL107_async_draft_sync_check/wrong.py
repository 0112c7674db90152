import os

from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
llm_config = {"config_list": [{"model": "gpt-4o", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


class Letter(BaseModel):
    topic: str


@app.post("/letters")
async def write_letter(letter: Letter) -> dict[str, str]:
    editor = UserProxyAgent("editor", human_input_mode="NEVER", code_execution_config=False)
    writer = AssistantAgent("writer", "You write letters.", llm_config=llm_config)
    checker = AssistantAgent("checker", "You check letters.", llm_config=llm_config)

    draft = await editor.a_initiate_chat(writer, message=letter.topic, max_turns=1)
    final = editor.initiate_chat(checker, message=f"Check this: {draft.summary}", max_turns=1)
    return {"letter": final.summary}
